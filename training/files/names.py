"""Module names of SD1.5 and SDXL: kohya's, the original (LDM) ones and those of diffusers.

kohya writes SD1.5 with diffusers names and SDXL with the original ones, dots as underscores. Both U-Nets have two
ResNet blocks a level; their blocks are numbered through in the original and by level in diffusers.
"""

import re
from collections.abc import Iterable
from re import compile as regex

from ..base_model import ModelFamily

UNET_PREFIX = "lora_unet_"
TEXT_PREFIXES: dict[ModelFamily, tuple[str, ...]] = {"sd15": ("lora_te_",), "sdxl": ("lora_te1_", "lora_te2_")}

_RESNET_PARTS = {
    "in_layers_0": "norm1",
    "in_layers_2": "conv1",
    "emb_layers_1": "time_emb_proj",
    "out_layers_0": "norm2",
    "out_layers_3": "conv2",
    "skip_connection": "conv_shortcut",
}
_RESNET_PARTS_BACK = {theirs: ours for ours, theirs in _RESNET_PARTS.items()}
_SINGLE = {
    "input_blocks_0_0": "conv_in",
    "out_0": "conv_norm_out",
    "out_2": "conv_out",
    "time_embed_0": "time_embedding_linear_1",
    "time_embed_2": "time_embedding_linear_2",
    "label_emb_0_0": "add_embedding_linear_1",
    "label_emb_0_2": "add_embedding_linear_2",
}
_SINGLE_BACK = {theirs: ours for ours, theirs in _SINGLE.items()}

# Longer words come before those they begin with.
_WORD = regex(
    "("
    r"(?:input|output|middle|down|up|mid)_blocks?|resnets|attentions|transformer_blocks|downsamplers|upsamplers|"
    r"in_layers|out_layers|emb_layers|skip_connection|time_emb_proj|conv_(?:norm_out|shortcut|in|out)|conv[12]?|op|"
    r"attn[12]|to_(?:q|k|v|out)|out|ff|net|proj_(?:in|out)|proj|norm[123]?|"
    r"time_embedding|time_embed|add_embedding|label_emb|linear_[12]|"
    r"text_model|text_projection|embeddings|(?:token|position)_embedding|encoder|layers|"
    r"self_attn|(?:q|k|v|out)_proj|mlp|fc[12]|layer_norm[12]|final_layer_norm|\d+"
    ")(?:_|$)"
)


def dotted(name: str) -> str:
    """Module path of an underscored name without its prefix: `mid_block_attentions_0` to `mid_block.attentions.0`.

    Raises:
        ValueError: The name is not one of SD1.5, SDXL or CLIP.
    """
    words: list[str] = []
    position = 0
    while position < len(name):
        found = _WORD.match(name, position)
        if found is None:
            raise ValueError(f"module name {name!r} is not one of SD1.5, SDXL or their text encoders")
        words.append(found.group(1))
        position = found.end()
    return ".".join(words)


def unet_name(name: str, family: ModelFamily) -> str:
    """Underscored U-Net name (without prefix, in either scheme) as kohya writes it for the family."""
    return to_diffusers_unet(name) if family == "sd15" else to_original_unet(name)


def has_two_blocks_a_level(names: Iterable[str]) -> bool:
    """Whether original U-Net names (underscored; others are ignored) match levels of two ResNet blocks each.

    They do in SD1.5; for other levels, the diffusers names would be those of wrong blocks. A file with both sides of
    the U-Net counts as complete: attention is then in all blocks of a level or in none.
    """
    attention: dict[str, set[int]] = {"input": set(), "output": set()}
    last_output = 2
    for name in names:
        if not (found := re.match(r"(input|output)_blocks_(\d+)_(\d)_(.+)", name)):
            continue
        side, number, rest = found[1], int(found[2]), found[4]
        if side == "input" and number and (number % 3 == 0) != (rest == "op"):
            return False
        if side == "output" and rest == "conv" and number % 3 != 2:
            return False
        if rest.startswith(("transformer_blocks", "proj_", "norm")):
            attention[side].add(number)
        last_output = max(last_output, number) if side == "output" else last_output
    if not (attention["input"] and attention["output"]):
        return True
    levels = [{number - number % 3 + place for place in (1, 2)} for number in attention["input"]]
    levels_up = [{number - number % 3 + place for place in (0, 1, 2)} for number in attention["output"]]
    is_even = all(level <= attention["input"] for level in levels)
    return is_even and all(level <= attention["output"] for level in levels_up) and last_output % 3 == 2


def to_diffusers_unet(name: str) -> str:
    """Original to diffusers, both underscored; a diffusers name is returned unchanged."""
    if name in _SINGLE:
        return _SINGLE[name]
    if found := re.match(r"middle_block_([012])_(.+)", name):
        index, rest = int(found[1]), found[2]
        return f"mid_block_attentions_0_{rest}" if index == 1 else f"mid_block_resnets_{index // 2}_{_part(rest)}"
    if found := re.match(r"input_blocks_(\d+)_(\d)_(.+)", name):
        level, place = divmod(int(found[1]) - 1, 3)
        if found[3] == "op":
            return f"down_blocks_{level}_downsamplers_0_conv"
        return f"down_blocks_{level}_" + _inner(found[2], place, found[3])
    if found := re.match(r"output_blocks_(\d+)_(\d)_(.+)", name):
        level, place = divmod(int(found[1]), 3)
        if found[3] == "conv":
            return f"up_blocks_{level}_upsamplers_0_conv"
        return f"up_blocks_{level}_" + _inner(found[2], place, found[3])
    return name


def to_original_unet(name: str) -> str:
    """Diffusers to original, both underscored, for SDXL; an original name is returned unchanged."""
    if name in _SINGLE_BACK:
        return _SINGLE_BACK[name]
    if found := re.match(r"mid_block_(attentions|resnets)_(\d)_(.+)", name):
        index = 1 if found[1] == "attentions" else 2 * int(found[2])
        return f"middle_block_{index}_{_part_back(found[3])}"
    if found := re.match(r"(down|up)_blocks_(\d)_(?:down|up)samplers_0_conv", name):
        level = int(found[2])
        # In SDXL both upsampled levels have attention, so the upsampler is the third module of its block.
        return f"input_blocks_{3 * level + 3}_0_op" if found[1] == "down" else f"output_blocks_{3 * level + 2}_2_conv"
    if found := re.match(r"(down|up)_blocks_(\d)_(attentions|resnets)_(\d)_(.+)", name):
        number = 3 * int(found[2]) + int(found[4])
        block = f"input_blocks_{number + 1}" if found[1] == "down" else f"output_blocks_{number}"
        return f"{block}_{int(found[3] == 'attentions')}_{_part_back(found[5])}"
    return name


def is_convolution_3x3(name: str) -> bool:
    """Whether an underscored kohya name (with or without prefix) is a 3x3 convolution of the U-Net."""
    ends = ("_in_layers_2", "_out_layers_3", "_0_op", "_conv", "_conv1", "_conv2", "conv_in", "conv_out")
    return name.endswith((*ends, "input_blocks_0_0")) or name in ("out_2", UNET_PREFIX + "out_2")


def _inner(slot: str, place: int, rest: str) -> str:
    return f"resnets_{place}_{_part(rest)}" if slot == "0" else f"attentions_{place}_{rest}"


def _part(rest: str) -> str:
    return _RESNET_PARTS.get(rest, rest)


def _part_back(rest: str) -> str:
    return _RESNET_PARTS_BACK.get(rest, rest)
