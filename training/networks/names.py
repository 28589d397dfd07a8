"""Module paths of the host (original, LDM names) and the keys that files use for them (kohya's).

SD1.5 files name U-Net modules as diffusers does, SDXL files as the original does; text encoders have the same names in
both. If a U-Net's levels differ in their number of blocks, ComfyUI's table of diffusers names leads to wrong modules,
so files of such a U-Net use the original names, which ComfyUI reads too. The diffusers names need the U-Net's levels;
they are found from the module paths alone (a level ends with a downsampler or an upsampler), so U-Nets of any depth are
named, even with a single level.
"""

from collections.abc import Iterable
from re import compile as regex

from ..base_model import ModelFamily, PartName

TEXT_PREFIX: dict[tuple[ModelFamily, PartName], str] = {
    ("sd15", "text_encoder"): "lora_te_",
    ("sdxl", "text_encoder"): "lora_te1_",
    ("sdxl", "text_encoder_2"): "lora_te2_",
}
RESNET_NAMES = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
BASIC_NAMES = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "label_emb.0.0": "add_embedding.linear_1",
    "label_emb.0.2": "add_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
DOWNSAMPLER = regex(r"input_blocks\.(\d+)\.0\.op")
UPSAMPLER = regex(r"output_blocks\.(\d+)\.[12]\.conv")
IN_BLOCK = regex(r"(input|output)_blocks\.(\d+)\.(\d+)\.(.+)")
MIDDLE = regex(r"middle_block\.(\d+)\.(.+)")


def file_keys(paths: Iterable[str], part: PartName, family: ModelFamily) -> dict[str, str]:
    """Key in the file (without suffix) of every module path of a part. Needs all paths of the part."""
    paths = list(paths)
    if part != "unet":
        prefix = TEXT_PREFIX[family, part]
        return {path: prefix + _text_name(path).replace(".", "_") for path in paths}
    names = diffusers_names(paths) if family == "sd15" and has_equal_levels(paths) else {}
    return {path: "lora_unet_" + names.get(path, path).replace(".", "_") for path in paths}


def alias_keys(paths: Iterable[str], part: PartName, family: ModelFamily) -> dict[str, str]:
    """Module path by every key that other trainers' files may use for it, the usual key included."""
    paths = list(paths)
    aliases = {key: path for path, key in file_keys(paths, part, family).items()}
    if part == "unet":
        for path, name in {path: path for path in paths}.items() | diffusers_names(paths).items():
            aliases.setdefault("lora_unet_" + name.replace(".", "_"), path)
    return aliases


def diffusers_names(paths: Iterable[str]) -> dict[str, str]:
    """Diffusers name of every U-Net module path that has one."""
    paths = list(paths)
    downs = sorted({int(match[1]) for path in paths if (match := DOWNSAMPLER.fullmatch(path))})
    ups = sorted({int(match[1]) for path in paths if (match := UPSAMPLER.fullmatch(path))})
    named = {path: _diffusers_name(path, downs, ups) for path in paths}
    return {path: name for path, name in named.items() if name is not None}


def has_equal_levels(paths: Iterable[str]) -> bool:
    """True if every level of a U-Net has the same number of blocks, as those of all common models."""
    paths = list(paths)
    downs = sorted({int(match[1]) for path in paths if (match := DOWNSAMPLER.fullmatch(path))})
    blocks = {int(match[2]) for path in paths if (match := IN_BLOCK.fullmatch(path)) and match[1] == "input"}
    ends = [0, *downs, max(blocks, default=0) + 1]
    return len({end - start for start, end in zip(ends, ends[1:], strict=False)}) == 1


def _diffusers_name(path: str, downs: list[int], ups: list[int]) -> str | None:
    """The diffusers name of one path; `downs` and `ups` are the indices of the blocks that end a level."""
    if path in BASIC_NAMES:
        return BASIC_NAMES[path]
    if match := MIDDLE.fullmatch(path):
        position, inner = int(match[1]), match[2]
        return f"mid_block.attentions.0.{inner}" if position == 1 else _resnet("mid_block", position // 2, inner)
    if not (match := IN_BLOCK.fullmatch(path)):
        return None
    side, block, position, inner = match[1], int(match[2]), int(match[3]), match[4]
    if side == "input":
        level = sum(end < block for end in downs)
        parent = f"down_blocks.{level}"
        if inner == "op":
            return f"{parent}.downsamplers.0.conv"
        index = block - 1 - (downs[level - 1] if level else 0)
    else:
        level = sum(end < block for end in ups)
        parent = f"up_blocks.{level}"
        if inner == "conv":
            return f"{parent}.upsamplers.0.conv"
        index = block - (ups[level - 1] + 1 if level else 0)
    return _resnet(parent, index, inner) if position == 0 else f"{parent}.attentions.{index}.{inner}"


def _resnet(parent: str, index: int, inner: str) -> str | None:
    return f"{parent}.resnets.{index}.{RESNET_NAMES[inner]}" if inner in RESNET_NAMES else None


def _text_name(path: str) -> str:
    """Path from `text_model` on, or of the projection, without what the host wraps around the encoder."""
    start = path.find("text_model.")
    return path[start:] if start >= 0 else path.removeprefix("transformer.")
