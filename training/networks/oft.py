"""Orthogonal fine-tuning: the layer's output channels are rotated in blocks, W' = R W with R orthogonal.

Diagonal OFT, Qiu et al. 2023, https://arxiv.org/abs/2306.07280; butterfly OFT (BOFT), Liu et al. 2023,
https://arxiv.org/abs/2311.06243, in LyCORIS's forms. R is the Cayley transform of a skew-symmetric matrix, (1 + Q) (1 -
Q)^-1, so zero parameters mean no change. The frozen layer's output without its bias is rotated; its weight is not
touched. `alpha` in files is a constraint that readers treat differently, so it is written as 0, which switches it off.

Shapes: C output channels, L everything else, k blocks of n channels, m butterfly stages.
"""

from abc import abstractmethod
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn

from .adapter import Adapter, Forward, alpha_tensor, frobenius
from .algorithm import Algorithm, Start
from .form import Form, Tensors, each
from .layer import Layer
from .split import split

BISECTIONS = 20
Rotate = Callable[[Tensor, Tensor], Tensor]
"""(blocks, values along C) to rotated values minus values, computed so that small rotations are not rounded away."""


def cayley_minus_one(blocks: Tensor) -> Tensor:
    """R - 1 = 2 Q (1 - Q)^-1 of Q = blocks - blocks^T, (..., n, n), float32.

    1 - Q is never singular, so nothing is lost by not asking: the answer of every layer would make the CPU wait for it.
    """
    skew = blocks - blocks.mT
    one = torch.eye(skew.shape[-1], device=skew.device, dtype=skew.dtype)
    solve = torch.linalg.solve_ex  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return cast("Tensor", solve(one - skew, 2 * skew, left=False)[0])


def constrained(tensors: Tensors, num_outputs: int) -> Tensor:
    """`oft_blocks`, scaled so that Q's norm meets LyCORIS's constraint alpha * O (0 or missing = none)."""
    blocks = tensors["oft_blocks"]
    limit = float(tensors["alpha"]) * num_outputs if "alpha" in tensors else 0.0
    norm = float(frobenius(blocks - blocks.mT))
    return blocks * (limit / norm) if 0 < limit < norm else blocks


def rotated(rotate: Rotate, tensors: Tensors, weight: Tensor | None) -> Tensor:
    """The change of the weight by a file's blocks, with LyCORIS's `rescale` of the outputs."""
    assert weight is not None
    blocks = constrained(tensors, weight.shape[0])
    change = rotate(blocks, weight.flatten(1)[None])[0].view(weight.shape)
    return (weight + change) * tensors["rescale"] - weight if "rescale" in tensors else change


def rotate(blocks: Tensor, values_BCL: Tensor) -> Tensor:
    """The formula of diag-OFT: blockwise (R - 1)^T values, as LyCORIS and ComfyUI apply R."""
    count, size, _ = blocks.shape
    rotation = cayley_minus_one(blocks).mT.to(values_BCL.dtype)
    return (rotation @ values_BCL.reshape(-1, count, size, values_BCL.shape[-1])).reshape(values_BCL.shape)


class RotationAdapter(Adapter):
    """Rotation by `oft_blocks`; subclasses give its structure."""

    def __init__(self, layer: Layer, oft_blocks: Tensor) -> None:
        super().__init__(layer)
        self.oft_blocks = nn.Parameter(oft_blocks)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "RotationAdapter":
        """Read a file's blocks; its constraint is applied once, here."""
        return cls(layer, constrained(tensors, layer.out_size).clone())

    @abstractmethod
    def change(self, values_BCL: Tensor) -> Tensor:
        """R values - values along C, computed so that small rotations are not rounded away."""

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Rotate the frozen output without its bias."""
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
        """LyCORIS's form."""
        return {"oft_blocks": self.oft_blocks.detach(), "alpha": alpha_tensor(0)}


def rotation_form(name: str, num_dims: int, rotate: Rotate, adapter: type[RotationAdapter]) -> Form:
    """The form of files with `oft_blocks`; their number of dimensions tells diagonal OFT from BOFT."""
    return Form(
        name=name,
        signs=("oft_blocks",),
        sign_dims=num_dims,
        tensors=("oft_blocks", "rescale", "alpha"),
        untrained=("rescale",),
        needed=each("oft_blocks"),
        needs_weight=True,
        delta=partial(rotated, rotate),
        read=adapter.from_tensors,
        loaders="differ",
    )


class DiagOftAdapter(RotationAdapter):
    """`oft_blocks` (k, n, n): one rotation per block of n neighboring channels."""

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

    def change(self, values_BCL: Tensor) -> Tensor:
        """Rotate within the blocks."""
        return rotate(self.oft_blocks, values_BCL)


def _create(start: Start) -> DiagOftAdapter:
    return DiagOftAdapter.create(start.layer, start.rank, start.path)


FORM = rotation_form("oft", 3, rotate, DiagOftAdapter)
ALGORITHMS = (
    Algorithm(name="diag-oft", form=FORM, create=_create, sizes=frozenset({"rank", "conv_rank"}), lycoris="diag-oft"),
)
