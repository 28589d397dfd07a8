"""Butterfly OFT (BOFT): stages of block rotations, each mixing channels twice as far apart as the last.

Liu et al. 2023, https://arxiv.org/abs/2311.06243, in LyCORIS's form. `oft.py` has the parts shared with diagonal OFT.

Shapes: C output channels, L everything else, k blocks of n channels, m butterfly stages.
"""

import torch
from einops import rearrange
from torch import Tensor

from .algorithm import Algorithm, Start
from .layer import Layer
from .oft import RotationAdapter, cayley_minus_one, rotation_form


def rotate(blocks: Tensor, values_BCL: Tensor) -> Tensor:
    """The formula: apply the stages in turn; stage i pairs half blocks that are 2^i half blocks apart."""
    stages, count, size, _ = blocks.shape
    length = values_BCL.shape[-1]
    rotations = cayley_minus_one(blocks).to(values_BCL.dtype)
    values = values_BCL
    for stage in range(stages):
        distance = 2**stage * size // 2
        pairs = count * size // (2 * distance)
        sizes = {"pair": pairs, "two": 2, "near": distance}
        paired = rearrange(values, "b (pair two near) l -> b (pair near two) l", **sizes)
        moved = rotations[stage] @ paired.reshape(-1, count, size, length)
        values = values + rearrange(moved.flatten(1, 2), "b (pair near two) l -> b (pair two near) l", **sizes)
    return values - values_BCL


class BoftAdapter(RotationAdapter):
    """`oft_blocks` (m, k, n, n): m stages of rotations, each mixing channels twice as far apart as the last."""

    @classmethod
    def create(cls, layer: Layer, max_block: int, name: str) -> "BoftAdapter":
        """Zero blocks of the largest valid size up to `max_block`, or of the smallest valid size if that is larger.

        Raises:
            ValueError: the channels have no even block size with a power of two of blocks; `name` tells the layer.
        """
        size = butterfly_block(layer.out_size, max_block)
        if size is None:
            raise ValueError(
                f"boft must be able to split {name}'s {layer.out_size} channels into a power of two of even blocks, "
                "which is impossible; exclude the layer or choose diag-oft"
            )
        count = layer.out_size // size
        return cls(layer, torch.zeros(count.bit_length(), count, size, size))

    def change(self, values_BCL: Tensor) -> Tensor:
        """Rotate by all stages."""
        return rotate(self.oft_blocks, values_BCL)


def butterfly_block(channels: int, max_block: int) -> int | None:
    """Even block size that leaves a power of two of blocks: the largest up to `max_block`, else the smallest."""
    valid = [n for n in range(2, channels + 1, 2) if channels % n == 0 and (channels // n).bit_count() == 1]
    fitting = [size for size in valid if size <= max_block]
    return fitting[-1] if fitting else (valid[0] if valid else None)


def _create(start: Start) -> BoftAdapter:
    return BoftAdapter.create(start.layer, start.rank, start.path)


FORM = rotation_form("boft", 4, rotate, BoftAdapter)
ALGORITHMS = (
    Algorithm(name="boft", form=FORM, create=_create, sizes=frozenset({"rank", "conv_rank"}), lycoris="boft"),
)
