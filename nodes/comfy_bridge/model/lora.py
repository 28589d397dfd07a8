"""Applies LoRAs to MODEL and CLIP through the host's own patches, with strengths by part and block.

What the host can read is left to its adapters, so plain strengths give exactly the core loader's weights. What it
cannot read (IA3, Tucker GLoRA, ...) is computed by `training.tools.deltas`; on request also what it reads differently
from training: DoRA by rows, OFT and BOFT with a constraint, rescaling or strengths other than 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import comfy.lora
from torch import Tensor

from ....training.base_model import ModelFamily, PartName
from ....training.files.formats import detect_family, join_modules, known_family
from ....training.networks.block_weights import block_of
from ....training.networks.foreign import is_ignored, split_key, to_kohya
from ....training.networks.names import file_keys
from ....training.tools.deltas import check_complete, check_finite, check_read
from ....training.tools.strengths import ResolvedStrengths, Strengths
from .by_formula import ChangeByFormula, is_ours
from .lora_fit import check_size, in_shape, left_out_note
from .model_facts import model_family

_UNET = "diffusion_model."
_BOTH_CLIPS = "clip_g."


@dataclass(frozen=True)
class _HostModule:
    """One module of a LoRA under a name that the host's loader knows."""

    name: str
    parts: dict[str, Tensor]
    key: str
    """Key of the weight in the host's model."""


def apply_lora(
    model: Any, clip: Any, lora: Mapping[str, Tensor], strengths: Strengths, *, as_trained: bool = False
) -> tuple[Any, Any]:
    """MODEL and CLIP with the LoRA patched in; either may be None. The inputs are not changed.

    `as_trained` computes every algorithm that the host reads differently by its own formula.

    Raises:
        ValueError: The LoRA matches neither, is for the other family or contains NaN, or a block weight is for the
            other family.
    """
    family = family_of(model, clip)
    if lora and all(map(is_ignored, lora)):  # an embedding alone, which prompts name
        return None if model is None else model.clone(), None if clip is None else clip.clone()
    _check_family(lora, family)
    modules = _host_modules(lora, family, key_map(model, clip))
    for module in modules:
        owner = model.model if module.key.startswith(_UNET) else clip.cond_stage_model
        check_complete(module.name, module.parts)
        check_size(module.name, module.parts, owner, module.key)
        module.parts.update(in_shape(module.parts, owner, module.key))
        check_read(module.name, module.parts, ("reshape_weight",))  # which the host reads
        check_finite(module.name, module.parts)
    resolved = strengths.resolve(family)
    new_model, new_clip = (None if one is None else one.clone() for one in (model, clip))
    for strength, group in _by_strength(modules, family, resolved).items():
        patches = _patches(group, as_trained)
        for patched in (new_model, new_clip):
            if patched is not None:
                patched.add_patches(patches, strength)
    _attach_metadata(new_model, new_clip, getattr(lora, "metadata", None))
    return new_model, new_clip


def unapplied_note(model: Any, clip: Any, lora: Mapping[str, Tensor]) -> str:
    """What of a LoRA `apply_lora` leaves out, because it is not in what is connected; empty if nothing is."""
    if all(map(is_ignored, lora)):
        return ""
    keys = key_map(model, clip)
    missing = [name for name in _by_name(lora, family_of(model, clip), keys) if name not in keys]
    return left_out_note(missing, model is not None, clip is not None)


def family_of(model: Any, clip: Any) -> ModelFamily:
    """Family of the MODEL, else of the CLIP.

    Raises:
        ValueError: Neither is given, or the model is neither SD1.5 nor SDXL.
    """
    if model is not None:
        return model_family(model)
    if clip is None:
        raise ValueError("model: connect a MODEL, a CLIP or both, got neither")
    return "sdxl" if any(key.startswith(_BOTH_CLIPS) for key in clip.cond_stage_model.state_dict()) else "sd15"


def kohya_tensors(lora: Mapping[str, Tensor], model: Any = None) -> dict[str, Tensor]:
    """Any LORA_MODEL under kohya's names, on the CPU; the model tells the family if the tensors do not.

    Core's trainer outputs tensors on the GPU, files are read to the CPU; code that uses both needs one device.

    Raises:
        ValueError: It is for the other family, or the family is unknown.
    """
    if model is not None:
        _check_family(lora, model_family(model))
    tensors = to_kohya(lora, None if model is None else model_family(model))
    return {name: tensor.detach().cpu() for name, tensor in tensors.items()}


def _check_family(lora: Mapping[str, Tensor], family: ModelFamily) -> None:
    """Refuse LoRAs for the other family: some modules have equal names and shapes, so they would be changed wrongly."""
    found = known_family(lora)
    if found not in (None, family):
        raise ValueError(f"lora: it is for {found}, the model is {family}; choose one made for this model")


def lora_family(tensors: Mapping[str, Tensor], model: Any = None) -> ModelFamily:
    """Family of the model if there is one, else of the tensors."""
    return detect_family(tensors) if model is None else model_family(model)


def key_map(model: Any, clip: Any) -> dict[str, str]:
    """Host key of the weight by every module name that the host's loader knows, for the given models."""
    keys: dict[str, Any] = {}
    if model is not None:
        keys = comfy.lora.model_lora_keys_unet(model.model, keys)
    if clip is not None:
        keys = comfy.lora.model_lora_keys_clip(clip.cond_stage_model, keys)
        keys = _kohya_text_keys(clip) | keys
    return {name: key for name, key in keys.items() if isinstance(key, str)}


def _kohya_text_keys(clip: Any) -> dict[str, str]:
    """Host key by kohya's name for all weights of the text encoders; the host knows those of their layers only."""
    keys, found = clip.cond_stage_model.state_dict(), {}
    parts: tuple[tuple[PartName, str], ...] = (("text_encoder", "clip_l."), ("text_encoder_2", _BOTH_CLIPS))
    for part, prefix in parts:
        paths = [
            key[len(prefix) : -len(".weight")] for key in keys if key.startswith(prefix) and key.endswith(".weight")
        ]
        if paths:
            named = file_keys(paths, part, family_of(None, clip))
            found |= {name: f"{prefix}{path}.weight" for path, name in named.items()}
    return found


def _by_name(lora: Mapping[str, Tensor], family: ModelFamily, keys: Mapping[str, str]) -> dict[str, dict[str, Tensor]]:
    """Tensors of each module: names that the host knows are kept, the others converted to kohya's."""
    direct: dict[str, dict[str, Tensor]] = {}
    others: dict[str, Tensor] = {}
    for raw, tensor in lora.items():
        if is_ignored(raw):
            continue
        module, suffix = split_key(raw)
        if module in keys:
            direct.setdefault(module, {})[suffix] = tensor
        else:
            others[raw] = tensor
    for converted, tensor in (to_kohya(others, family) if others else {}).items():
        module, _, suffix = converted.partition(".")
        direct.setdefault(module, {})[suffix] = tensor
    return direct


def _host_modules(lora: Mapping[str, Tensor], family: ModelFamily, keys: Mapping[str, str]) -> list[_HostModule]:
    direct = _by_name(lora, family, keys)
    found = [_HostModule(name, parts, keys[name]) for name, parts in direct.items() if name in keys]
    if not found:
        raise ValueError(f"lora: none of its {len(direct)} modules is in this model ({family}); is it for another one?")
    return found


def _by_strength(
    modules: list[_HostModule], family: ModelFamily, strengths: ResolvedStrengths
) -> dict[float, list[_HostModule]]:
    groups: dict[float, list[_HostModule]] = {}
    for module in modules:
        part, path = _part_and_path(module.key)
        strength = strengths.of_block(block_of(path, part, family), is_unet=part == "unet")
        if strength:
            groups.setdefault(strength, []).append(module)
    return groups


def _part_and_path(key: str) -> tuple[PartName, str]:
    if key.startswith(_UNET):
        return "unet", key.removeprefix(_UNET)
    return ("text_encoder_2" if key.startswith(_BOTH_CLIPS) else "text_encoder"), key


def _patches(modules: list[_HostModule], as_trained: bool) -> dict[str, Any]:
    """The host's own patches for what it can read, ours for the rest."""
    ours = [module for module in modules if is_ours(module.parts, as_trained)]
    theirs = [module for module in modules if not is_ours(module.parts, as_trained)]
    tensors = join_modules({module.name: module.parts for module in theirs})
    patches: dict[str, Any] = comfy.lora.load_lora(tensors, {module.name: module.key for module in theirs})
    for module in ours:
        suffixes = tuple(module.parts)
        patches[module.key] = ChangeByFormula(set(), (suffixes, tuple(module.parts.values())))
        if "diff_b" in module.parts:
            patches[module.key.removesuffix(".weight") + ".bias"] = ("diff", (module.parts["diff_b"],))
    return patches


def _attach_metadata(model: Any, clip: Any, metadata: Mapping[str, str] | None) -> None:
    if not metadata:
        return
    if model is not None:
        model.set_attachments("lora_metadata", metadata)
    if clip is not None:
        clip.patcher.set_attachments("lora_metadata", metadata)
