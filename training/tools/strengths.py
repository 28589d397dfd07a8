"""Strength of each module of a LoRA: by part of the model and by block of the U-Net."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from re import compile as regex

from ..base_model import ModelFamily
from ..files.names import UNET_PREFIX, to_original_unet
from ..networks.block_weights import BLOCK_COUNTS, read_lbw

_LIST_BLOCK = regex(r"(input|output)_blocks_(\d+)")
_MIDDLE = regex(r"middle_block_(\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Strengths:
    """Factors on a LoRA's change; negative ones invert it."""

    unet: float = 1.0
    """U-Net."""
    text_encoder: float = 1.0
    """Text encoders, both for SDXL."""
    blocks: str = ""
    """Further factor by U-Net block, BASE for the text encoders, in LBW's form: a preset, numbers, or names.

    For example `IN04:0.5, OUT:-1`. Any sign, unlike learning weights. Empty = 1 everywhere.
    """

    def __post_init__(self) -> None:
        """Refuse a text that no model family can read, and numbers that are not finite."""
        for name, strength in (("unet", self.unet), ("text_encoder", self.text_encoder)):
            if not isfinite(strength):
                raise ValueError(f"strength of {name} must be a number, got {strength}")
        errors = [error for family in BLOCK_COUNTS if (error := _error_of(self.blocks, family))]
        if len(errors) == len(BLOCK_COUNTS):
            raise ValueError(errors[0])

    def resolve(self, family: ModelFamily) -> "ResolvedStrengths":
        """The same for a known model family.

        Raises:
            ValueError: The block strengths are for another family.
        """
        return ResolvedStrengths(self.unet, self.text_encoder, read_lbw(self.blocks, family), family)


@dataclass(frozen=True, slots=True)
class ResolvedStrengths:
    """Strengths of single modules."""

    unet: float
    text_encoder: float
    blocks: Mapping[str, float]
    family: ModelFamily

    def of(self, name: str) -> float:
        """Strength of a module by its kohya name."""
        is_unet = name.startswith(UNET_PREFIX)
        return self.of_block(block_of_name(name, self.family), is_unet=is_unet)

    def of_block(self, block: str | None, *, is_unet: bool) -> float:
        """Strength of a part's modules in a block; modules outside the blocks (None) have the part's strength."""
        part = self.unet if is_unet else self.text_encoder
        return part if block is None else part * self.blocks.get(block, 1.0)


def _error_of(blocks: str, family: ModelFamily) -> str:
    """Why a family cannot read the text; empty if it can."""
    try:
        read_lbw(blocks, family)
    except ValueError as error:
        return str(error)
    return ""


def block_of_name(name: str, family: ModelFamily) -> str | None:
    """Block of a module's kohya name: BASE, IN04, M00, OUT11; None for U-Net modules outside the lists."""
    if not name.startswith(UNET_PREFIX):
        return "BASE"
    path = to_original_unet(name.removeprefix(UNET_PREFIX))
    if found := _LIST_BLOCK.match(path):
        return f"{'IN' if found[1] == 'input' else 'OUT'}{int(found[2]):02}"
    if found := _MIDDLE.match(path):
        return f"M{int(found[1]):02}" if family == "sdxl" else "M00"
    return None
