"""Alphas of modules for files without them: peft's settings, in the metadata or beside the file, else the rank."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from ..files.formats import Tensors, split_modules
from ..files.json_files import read_json
from ..files.names import UNET_PREFIX, to_diffusers_unet

_DOWN = "lora_down.weight"
ALPHA_METADATA = "lora_adapter_metadata"
"""Where diffusers stores peft's settings, alphas among them."""
CONFIG = "adapter_config.json"
"""Where peft itself stores them, in the folder of the file."""
_OF_PEFT = "base_model.model."
_PARTS = ("unet", "text_encoder", "text_encoder_2")


def with_alphas(tensors: Tensors, metadata: Mapping[str, str]) -> Tensors:
    """Give every low-rank module an alpha: the file's, peft's, else the rank (scale 1), as all loaders do."""
    result = dict(tensors)
    lacking = {name: parts for name, parts in split_modules(tensors).items() if "alpha" not in parts}
    settings = _peft_settings(metadata) if lacking else {}
    for name, parts in lacking.items():
        rank = next((parts[suffix].shape[0] for suffix in (_DOWN, "hada_w1_b") if suffix in parts), 0)
        if _DOWN in parts or (rank and settings):
            result[f"{name}.alpha"] = torch.tensor(_peft_alpha(name, rank, settings))
        elif settings and parts.keys() & {"lokr_w1", "lokr_w1_a"}:
            result |= {f"{name}.{suffix}": tensor for suffix, tensor in _scaled_lokr(name, parts, settings).items()}
    return result


def peft_metadata(path: Path, names: Iterable[str], metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata of a file that peft wrote, with the settings that lie beside it; other files' as it is.

    Raises:
        ValueError: The settings cannot be read.
    """
    config = path.with_name(CONFIG)
    if ALPHA_METADATA in metadata or not _is_of_peft(names) or not config.is_file():
        return dict(metadata)
    try:
        given = read_json(config.read_text(encoding="utf-8"))
        own = {**given, "lora_alpha": given["lora_alpha"] if "lora_alpha" in given else given["alpha"]}
    except (OSError, ValueError, KeyError, TypeError):
        raise ValueError(
            f"{CONFIG} beside the file is not readable, so the LoRA's alphas are not known; download it again"
        ) from None
    settings = {f"{part}.{name}": value for part in _PARTS for name, value in own.items()}
    return {**metadata, ALPHA_METADATA: json.dumps(settings)}


def no_alpha_note(names: Iterable[str], metadata: Mapping[str, str]) -> str:
    """A note that a file of peft lacks its alphas; empty for other files."""
    names = list(names)
    if ALPHA_METADATA in metadata or not _is_of_peft(names) or any(name.endswith("alpha") for name in names):
        return ""
    return (
        f"peft keeps alpha outside the file: alpha = rank is taken. If it was trained with another, put its {CONFIG} "
        "beside the file"
    )


def _is_of_peft(names: Iterable[str]) -> bool:
    return any(_OF_PEFT in name for name in names)


def _peft_settings(metadata: Mapping[str, str]) -> dict[str, Any]:
    """Peft's settings by part, as diffusers stores them; empty without any."""
    if ALPHA_METADATA not in metadata:
        return {}
    try:
        settings = read_json(metadata[ALPHA_METADATA])
    except ValueError:
        settings = None
    if not isinstance(settings, dict):
        raise ValueError(
            f"metadata: {ALPHA_METADATA} is not readable, so the LoRA's alphas are not known; download it again"
        )
    return cast(dict[str, Any], settings)


def _peft_alpha(name: str, rank: int, settings: Mapping[str, Any]) -> float:
    """Alpha in kohya's sense, scale times rank."""
    alpha = _of_module(name, "lora_alpha", "alpha_pattern", settings)
    if not isinstance(alpha, int | float):
        return float(rank)
    return float(alpha) * (rank**0.5 if settings.get(f"{_part(name)}.use_rslora") else 1.0)


def _scaled_lokr(name: str, parts: Mapping[str, Tensor], settings: Mapping[str, Any]) -> dict[str, Tensor]:
    """LoKr's first factor times peft's scale, which counts for whole factors too; other programs leave it out there."""
    alpha = _of_module(name, "lora_alpha", "alpha_pattern", settings)
    rank = _of_module(name, "r", "rank_pattern", settings)
    if not isinstance(alpha, int | float) or not isinstance(rank, int | float) or not rank:
        return {}
    suffix = "lokr_w1" if "lokr_w1" in parts else "lokr_w1_a"
    return {suffix: parts[suffix] * (float(alpha) / float(rank))}


def _of_module(name: str, key: str, pattern: str, settings: Mapping[str, Any]) -> Any:
    """A setting of a module. Peft names modules with a deviating one by the end of their path."""
    path = to_diffusers_unet(name.removeprefix(UNET_PREFIX))
    own = cast(dict[str, Any], settings.get(f"{_part(name)}.{pattern}") or {})
    found = [value for end, value in own.items() if re.search(rf"(?:^|_)(?:{end.replace('.', '_')})$", path)]
    return found[0] if found else settings.get(f"{_part(name)}.{key}")


def _part(name: str) -> str:
    part = "unet" if name.startswith(UNET_PREFIX) else "text_encoder"
    return part + ("_2" if name.startswith("lora_te2_") else "")
