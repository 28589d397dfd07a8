"""Alphas of low-rank modules for files without them: peft's settings in the metadata, else the rank."""

import re
from collections.abc import Mapping
from typing import Any, cast

import torch

from ..files.formats import Tensors
from ..files.json_files import read_json
from ..files.names import UNET_PREFIX, to_diffusers_unet

_DOWN = "lora_down.weight"
ALPHA_METADATA = "lora_adapter_metadata"
"""Where diffusers stores peft's settings, alphas among them."""


def with_alphas(tensors: Tensors, metadata: Mapping[str, str]) -> Tensors:
    """Give every low-rank module an alpha: the file's, peft's, else the rank (scale 1), as all loaders do."""
    result = dict(tensors)
    lacking = [
        (name, down.shape[0])
        for name, suffix, down in ((*key.partition(".")[::2], tensor) for key, tensor in tensors.items())
        if suffix == _DOWN and f"{name}.alpha" not in tensors
    ]
    settings = _peft_settings(metadata) if lacking else {}
    for name, rank in lacking:
        result[f"{name}.alpha"] = torch.tensor(_peft_alpha(name, rank, settings))
    return result


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
            f"metadata: {ALPHA_METADATA} is not readable, so the LoRA's alphas are not known; get it again"
        )
    return cast(dict[str, Any], settings)


def _peft_alpha(name: str, rank: int, settings: Mapping[str, Any]) -> float:
    """Alpha in kohya's sense, scale times rank. Peft names modules with a deviating alpha by the end of their path."""
    part = "unet" if name.startswith(UNET_PREFIX) else "text_encoder"
    part += "_2" if name.startswith("lora_te2_") else ""
    path = to_diffusers_unet(name.removeprefix(UNET_PREFIX))
    own = cast(dict[str, Any], settings.get(f"{part}.alpha_pattern") or {})
    found = [alpha for end, alpha in own.items() if re.search(rf"(?:^|_)(?:{end.replace('.', '_')})$", path)]
    alpha = found[0] if found else settings.get(f"{part}.lora_alpha")
    if not isinstance(alpha, int | float):
        return float(rank)
    return float(alpha) * (rank**0.5 if settings.get(f"{part}.use_rslora") else 1.0)
