"""The tensors of a LoRA by module, the model family they belong to, and diffusers' names for them.

`networks/foreign.py` converts other tools' names to kohya's.
"""

import re
from collections.abc import Mapping

from torch import Tensor

from ..base_model import ModelFamily
from .names import UNET_PREFIX, dotted, to_diffusers_unet
from .types import cast, evened

Tensors = dict[str, Tensor]

_DOWN, _UP = "lora_down.weight", "lora_up.weight"
_CONTEXTS: dict[int, ModelFamily] = {768: "sd15", 2048: "sdxl"}
"""Width of the text that cross attention reads."""
_OTHER_CONTEXTS = {1024: "SD2", 1280: "SDXL refiner"}


def to_diffusers(tensors: Mapping[str, Tensor]) -> Tensors:
    """Convert a low-rank LoRA in kohya names to diffusers' and peft's, with the scale multiplied into the factors.

    Raises:
        ValueError: A module is not plain low-rank; resizing the LoRA makes it so.
    """
    modules = split_modules(tensors)
    result: Tensors = {}
    for name, parts in modules.items():
        if not {_DOWN, _UP} <= set(parts) <= {_DOWN, _UP, "alpha"}:
            raise ValueError(
                f"{name} is not plain low-rank ({', '.join(sorted(parts))}); resize the LoRA to a rank first"
            )
        path = _diffusers_path(name)
        scale = float(parts["alpha"]) / parts[_DOWN].shape[0] if "alpha" in parts else 1.0
        up, down = evened(parts[_UP].float() * scale, parts[_DOWN].float())
        result[f"{path}.lora_A.weight"] = cast(name, down, parts[_DOWN].dtype)
        result[f"{path}.lora_B.weight"] = cast(name, up, parts[_UP].dtype)
    return result


def split_modules(tensors: Mapping[str, Tensor]) -> dict[str, Tensors]:
    """Tensors by module: `{"lora_unet_x": {"lora_up.weight": ..., "alpha": ...}}`, in order of first appearance."""
    modules: dict[str, Tensors] = {}
    for key, tensor in tensors.items():
        module, _, suffix = key.partition(".")
        modules.setdefault(module, {})[suffix] = tensor
    return modules


def join_modules(modules: Mapping[str, Mapping[str, Tensor]]) -> Tensors:
    """Inverse of `split_modules`."""
    return {f"{module}.{suffix}": tensor for module, parts in modules.items() for suffix, tensor in parts.items()}


def detect_family(tensors: Mapping[str, Tensor]) -> ModelFamily:
    """SD1.5 or SDXL, by text-encoder names, else by the width of cross attention, else by the U-Net's blocks.

    Raises:
        ValueError: The file does not tell; the message asks for the family.
    """
    names = list(tensors)
    if any(re.search(r"lora_te2_|lycoris_te2_|text_encoder_2|clip_g\.", name) for name in names):
        return "sdxl"
    for name, tensor in tensors.items():
        if re.search(r"attn2[._](processor\.)?to_[kv][._](lora[._](down|A)|lora_linear_layer\.down|diff$)", name):
            return _family_by_context(name, tensor.shape[1])
    if any("lora_te1_" in name for name in names):
        return "sdxl"
    text = "\n".join(names)
    if re.search(r"transformer_blocks[._][1-9]|label_emb|add_embedding|down_blocks[._]2[._]attentions.*ff", text):
        return "sdxl" if re.search(r"transformer_blocks[._][1-9]|label_emb|add_embedding", text) else "sd15"
    if re.search(r"input_blocks[._](1|2|10|11)[._]1|down_blocks[._](0|3)[._](attentions|resnets)|lora_te_text", text):
        return "sd15"
    if any(name.startswith("text_encoders.clip_l.") for name in names):
        return "sd15"  # ComfyUI's extractor: for SDXL it would have written the second encoder too
    raise ValueError("family: the file does not tell SD1.5 from SDXL; choose one of sd15, sdxl")


def _family_by_context(name: str, width: int) -> ModelFamily:
    if width not in _CONTEXTS:
        other = f"the {_OTHER_CONTEXTS[width]} family" if width in _OTHER_CONTEXTS else f"text of width {width}"
        raise ValueError(f"{name}: belongs to a model of {other}; SD1.5 and SDXL can be used here")
    return _CONTEXTS[width]


def known_family(tensors: Mapping[str, Tensor]) -> ModelFamily | None:
    """The same, but None if the file does not tell."""
    try:
        return detect_family(tensors)
    except ValueError:
        return None


def _diffusers_path(name: str) -> str:
    if name.startswith(UNET_PREFIX):
        return "unet." + dotted(to_diffusers_unet(name.removeprefix(UNET_PREFIX)))
    prefix, _, path = name.removeprefix("lora_").partition("_")
    return ("text_encoder_2." if prefix == "te2" else "text_encoder.") + dotted(path)
