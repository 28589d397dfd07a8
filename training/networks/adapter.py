"""The contract of every algorithm: one adapter changes one frozen layer.

An adapter is a module of float32 parameters beside the layer, never inside the base model's module tree, so the base
model gains no state-dict keys. `forward(x, base)` replaces the layer's forward, where `base` is the original one;
`delta_weight()` is the same change as a weight. A contract test checks that both agree for every algorithm.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from math import sqrt
from typing import cast

import torch
from torch import Tensor, nn

from .draws import Draws
from .layer import Layer

Forward = Callable[[Tensor], Tensor]


class Adapter(nn.Module, ABC):
    """Change of one layer. Created in evaluation mode with zero change."""

    up_names: frozenset[str] = frozenset()
    """Parameters that LoRA+ trains at a higher rate (https://arxiv.org/abs/2402.12354)."""
    draw: str = ""
    """Purpose of the random number given to `begin_pass`; empty = `begin_pass` is not called."""

    unread: frozenset[str] = frozenset()
    """Settings that the algorithm has but this adapter cannot use."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer
        self.strength = 1.0
        self.base_scale = 1.0
        """alpha / rank, which damps the early growth of the change; 1 where the algorithm has none."""
        self.is_dropped = False
        """Whether module dropout skips this adapter in the current pass."""
        self.rank_dropout = 0.0
        self.dropout = 0.0
        self.draws = Draws()
        self.index = 0
        self.train(False)

    def bind(self, draws: Draws, index: int, dropout: float, rank_dropout: float) -> None:
        """Share the network's draws and dropout rates; `index` keeps this adapter's masks apart from the others'."""
        self.draws, self.index = draws, index
        self.dropout, self.rank_dropout = dropout, rank_dropout

    def set_strength(self, strength: float) -> None:
        """Multiply the whole change in `forward`; files and `delta_weight` are not touched."""
        self.strength = strength

    def begin_pass(self, number: float) -> None:
        """Take a random number in 0..1 before each training pass, drawn for the purpose `draw`."""

    @abstractmethod
    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """The adapted layer's output. `x` is (..., I) for linear layers, (B, I, H, W) for convolutions."""

    @abstractmethod
    def delta_weight(self) -> Tensor:
        """The change as a weight, float32, in the shape of the layer's weight; differentiable."""

    def drawn_delta(self) -> Tensor:
        """The delta weight of a training pass, with rank dropout; equal for equal draws."""
        return self.delta_weight()

    def drop_rows(self, factor_RF: Tensor) -> Tensor:
        """Apply rank dropout to a factor for a whole pass; unchanged while not training."""
        if not (self.training and self.rank_dropout):
            return factor_RF
        shape = (factor_RF.shape[0], 1)
        return factor_RF * self.draws.keep_mask("rank_dropout", self.index, shape, self.rank_dropout, factor_RF)

    def delta_bias(self) -> Tensor | None:
        """The change of the bias, (O,), or None."""
        return None

    @abstractmethod
    def file_tensors(self) -> dict[str, Tensor]:
        """Tensors of the file by suffix (what follows `<key>.`), detached, with alpha where the format has one.

        Each algorithm's `Form.read` reads them back.
        """

    def native_file_tensors(self) -> dict[str, Tensor]:
        """Tensors in the algorithm's own form, where `file_tensors` writes one that more programs read."""
        return self.file_tensors()

    def delta_norm(self) -> Tensor:
        """Frobenius norm of the change, a scalar."""
        return frobenius(self.delta_weight())

    def factors(self) -> list[nn.Parameter]:
        """Parameters whose product is the change: scaling each by c^(1/n) scales the change by c."""
        return list(self.parameters())

    @torch.no_grad()
    def shrink(self, ratio: float) -> None:
        """Scale the change by `ratio`, a number below 1, evenly over its factors."""
        factors = self.factors()
        share = ratio ** (1 / len(factors))
        for factor in factors:
            factor.mul_(share)


def kaiming(shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Uniform within 1 / sqrt(fan in): the usual initialization of the down matrix, torch's for linear layers."""
    return nn.init.kaiming_uniform_(torch.empty(shape), a=sqrt(5), generator=generator)


def alpha_tensor(alpha: float) -> Tensor:
    """Alpha as files store it."""
    return torch.tensor(float(alpha))


def frobenius(tensor: Tensor, dims: list[int] | None = None) -> Tensor:
    """Root of the sum of squares over all dimensions or those named (kept as size 1). Its gradient is finite at 0."""
    norm = torch.linalg.vector_norm  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return cast("Tensor", norm(tensor, dim=dims, keepdim=dims is not None))


def gram_norm(up_OR: Tensor, down_RI: Tensor) -> Tensor:
    """Frobenius norm of up @ down from two R x R Gram matrices, without building the product."""
    gram_up, gram_down = up_OR.T @ up_OR, down_RI @ down_RI.T
    return (gram_up * gram_down).sum().clamp_min(0).sqrt()
