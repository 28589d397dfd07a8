"""How strongly each module of a LoRA counts: by part of the model and by block of the U-Net."""

import re
from dataclasses import dataclass, field

from ..base_model import ModelFamily
from ..files.names import UNET_PREFIX, to_original_unet
from ..networks.block_weights import BlockWeights, ResolvedBlocks

_LIST_BLOCK = re.compile(r"(input|output)_blocks_(\d+)")
_MIDDLE = re.compile(r"middle_block_(\d)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Strengths:
    """Factors on a LoRA's change; negative ones turn it round."""

    unet: float = 1.0
    """U-Net."""
    text_encoder: float = 1.0
    """Text encoders, both of SDXL."""
    blocks: BlockWeights = field(default_factory=BlockWeights)
    """Further factor by U-Net block, BASE for the text encoders; empty = 1 everywhere."""

    def resolve(self, family: ModelFamily) -> "ResolvedStrengths":
        """The same for a known model family.

        Raises:
            ValueError: The block weights are for another family.
        """
        return ResolvedStrengths(self.unet, self.text_encoder, self.blocks.resolve(family), family)


@dataclass(frozen=True, slots=True)
class ResolvedStrengths:
    """Strengths that can be asked module by module."""

    unet: float
    text_encoder: float
    blocks: ResolvedBlocks
    family: ModelFamily

    def of(self, name: str) -> float:
        """Strength of a module by its kohya name."""
        part = self.unet if name.startswith(UNET_PREFIX) else self.text_encoder
        return part * self.blocks.weight(block_of_name(name, self.family))


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
