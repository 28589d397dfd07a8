"""Orthogonal fine-tuning: the layer's output channels are rotated in blocks, W' = R W with R orthogonal.

Diagonal OFT, Qiu et al. 2023, https://arxiv.org/abs/2306.07280; butterfly OFT (BOFT), Liu et al. 2023,
https://arxiv.org/abs/2311.06243, in LyCORIS' forms. R is the Cayley transform of a skew-symmetric matrix, (1 + Q)
(1 - Q)^-1, so zero parameters are no change. The frozen layer's output without its bias is rotated; its weight is not
touched. The files' `alpha` is a constraint there, which readers disagree on: it is written as 0, off.

Shapes: C output channels, L everything else, k blocks of n channels, m butterfly stages.
"""

from abc import abstractmethod
from typing import cast

import torch
from einops import rearrange
from torch import Tensor, nn

from .adapter import Adapter, Forward, alpha_tensor, frobenius
from .layer import Layer
from .lokr import split

BISECTIONS = 20


class RotationAdapter(Adapter):
    """Rotation by `oft_blocks`, whatever its structure."""

    def __init__(self, layer: Layer, oft_blocks: Tensor) -> None:
        super().__init__(layer)
        self.oft_blocks = nn.Parameter(oft_blocks)

    @abstractmethod
    def change(self, values_BCL: Tensor) -> Tensor:
        """R values - values along C, computed without rounding small rotations away."""

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Rotate the frozen output, bias left out."""
        output = base(x)
        if self.is_dropped:
            return output
        bias = self.layer.bias_like(output)
        rotated = output if bias is None else output - bias
        if self.layer.is_conv:
            change = self.change(rotated.flatten(2)).view(output.shape)
        else:
            change = self.change(rotated.flatten(0, -2).mT[None])[0].mT.reshape(output.shape)
        return output.add(change, alpha=self.strength)

    def delta_weight(self) -> Tensor:
        """Rotate the base weight."""
        weight = self.layer.weight(self.oft_blocks.device)
        return self.change(weight.flatten(1)[None])[0].view(self.layer.weight_shape)

    @torch.no_grad()
    def shrink(self, ratio: float) -> None:
        """Find the smaller angle whose change has the wanted norm; the norm is not linear in the angle."""
        start, wanted = self.oft_blocks.clone(), ratio * float(self.delta_norm())
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            self.oft_blocks.copy_(start * middle)
            low, high = (middle, high) if float(self.delta_norm()) < wanted else (low, middle)
        self.oft_blocks.copy_(start * low)

    def file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS' form."""
        return {"oft_blocks": self.oft_blocks.detach(), "alpha": alpha_tensor(0)}


class DiagOftAdapter(RotationAdapter):
    """`oft_blocks` (k, n, n): one rotation per block of n neighbouring channels."""

    @classmethod
    def create(cls, layer: Layer, max_block: int, name: str) -> "DiagOftAdapter":
        """Zero blocks of the largest size up to `max_block` that divides the channels.

        Raises:
            ValueError: no block of two channels or more divides them; `name` tells the layer.
        """
        size, count = split(layer.out_size, max_block)
        if size < 2:
            raise ValueError(
                f"rank (the block size of diag-oft) must allow blocks of at least 2 of {name}'s {layer.out_size} "
                f"channels, got {max_block}; choose another rank or exclude the layer"
            )
        return cls(layer, torch.zeros(count, size, size))

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor]) -> "DiagOftAdapter":
        """Read the blocks; a constraint is applied once and for all."""
        return cls(layer, constrained(tensors, layer))

    def change(self, values_BCL: Tensor) -> Tensor:
        """Blockwise (R - 1)^T values, as LyCORIS and ComfyUI apply R."""
        count, size, _ = self.oft_blocks.shape
        rotation = cayley_minus_one(self.oft_blocks).mT.to(values_BCL.dtype)
        return (rotation @ values_BCL.reshape(-1, count, size, values_BCL.shape[-1])).reshape(values_BCL.shape)


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

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor]) -> "BoftAdapter":
        """Read the blocks; a constraint is applied once and for all."""
        return cls(layer, constrained(tensors, layer))

    def change(self, values_BCL: Tensor) -> Tensor:
        """The stages in turn; stage i pairs half blocks that lie 2^i half blocks apart."""
        stages, count, size, _ = self.oft_blocks.shape
        length = values_BCL.shape[-1]
        rotations = cayley_minus_one(self.oft_blocks).to(values_BCL.dtype)
        values = values_BCL
        for stage in range(stages):
            distance = 2**stage * size // 2
            pairs = count * size // (2 * distance)
            sizes = {"pair": pairs, "two": 2, "near": distance}
            paired = rearrange(values, "b (pair two near) l -> b (pair near two) l", **sizes)
            moved = rotations[stage] @ paired.reshape(-1, count, size, length)
            values = values + rearrange(moved.flatten(1, 2), "b (pair near two) l -> b (pair two near) l", **sizes)
        return values - values_BCL


def cayley_minus_one(blocks: Tensor) -> Tensor:
    """R - 1 = 2 Q (1 - Q)^-1 of Q = blocks - blocks^T, (..., n, n), float32."""
    skew = blocks - blocks.mT
    one = torch.eye(skew.shape[-1], device=skew.device, dtype=skew.dtype)
    solve = torch.linalg.solve  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return cast("Tensor", solve(one - skew, 2 * skew, left=False))


def constrained(tensors: dict[str, Tensor], layer: Layer) -> Tensor:
    """Take `oft_blocks`, scaled so that the norm of Q keeps LyCORIS' constraint alpha * O (0 or missing = none)."""
    blocks = tensors.pop("oft_blocks").float().clone()
    limit = float(tensors.pop("alpha", torch.zeros(()))) * layer.out_size
    norm = float(frobenius(blocks - blocks.mT))
    return blocks * (limit / norm) if 0 < limit < norm else blocks


def butterfly_block(channels: int, max_block: int) -> int | None:
    """Even block size that leaves a power of two of blocks: the largest up to `max_block`, else the smallest."""
    valid = [n for n in range(2, channels + 1, 2) if channels % n == 0 and (channels // n).bit_count() == 1]
    fitting = [size for size in valid if size <= max_block]
    return fitting[-1] if fitting else (valid[0] if valid else None)
