"""Generalized LoRA, delta = s (W a1 a2 + b1 b2) with s = alpha / rank: low-rank changes of input and output.

Chavan et al. 2023, https://arxiv.org/abs/2306.07967, in LyCORIS's form.

Shapes: R rank, O out, I in.
"""

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from .adapter import Adapter, Forward, alpha_tensor, kaiming
from .algorithm import Algorithm, Start
from .form import SCALED, Form, Tensors, alpha_of, each
from .layer import Layer
from .products import POINT, layer_product
from .tucker import fold

NAMES = ("a1.weight", "a2.weight", "b1.weight", "b2.weight")


def product(weight: Tensor, factors: Sequence[Tensor], scale: float) -> Tensor:
    """The formula, in the weight's shape; factors a1, a2, b1, b2 as matrices."""
    a1, a2, b1, b2 = factors
    through_base = torch.einsum("oi...,ir,rj->oj...", weight, a1, a2)
    return (through_base + (b1 @ b2).view(weight.shape)) * scale


def read(tensors: Tensors) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """a1 (I, R), a2 (R, I), b1 (O, R), b2 (R, F). LyCORIS's older form (a1 and b1 inside) is converted."""
    a1, a2, b1, b2 = (tensors[name].flatten(1) for name in NAMES)
    if a1.shape[0] < a1.shape[1]:
        a1, a2, b1, b2 = a2, a1, b2, b1
    if "bm.weight" in tensors:
        b2 = fold(tensors["bm.weight"], b2).flatten(1)
    return a1, a2, b1, b2


def delta(tensors: Tensors, weight: Tensor | None) -> Tensor:
    """The change of the weight."""
    assert weight is not None
    factors = read(tensors)
    rank = factors[1].shape[0]
    return product(weight, factors, alpha_of(tensors, rank) / rank)


class GloraAdapter(Adapter):
    """GLoRA on one layer: `a1` (I, R), `a2` (R, I), `b1` (O, R), `b2` (R, I[, K, K])."""

    def __init__(self, layer: Layer, factors: dict[str, Tensor], alpha: float) -> None:
        super().__init__(layer)
        self.a1, self.a2 = nn.Parameter(factors["a1"]), nn.Parameter(factors["a2"])
        self.b1, self.b2 = nn.Parameter(factors["b1"]), nn.Parameter(factors["b2"])
        self.alpha = alpha
        self.rank = self.a2.shape[0]
        self.operation = layer.operation()

    @classmethod
    def create(cls, layer: Layer, rank: int, alpha: float, generator: torch.Generator) -> "GloraAdapter":
        """Outer factors random, inner ones zero."""
        point = (1, 1) if layer.is_conv else ()
        factors = {
            "a1": kaiming((layer.in_size, rank, *point), generator),
            "a2": torch.zeros(rank, layer.in_size, *point),
            "b1": kaiming((layer.out_size, rank, *point), generator),
            "b2": torch.zeros(rank, *layer.weight_shape[1:]),
        }
        return cls(layer, factors, alpha)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "GloraAdapter":
        """Read any file form."""
        a1, a2, b1, b2 = read(tensors)
        rank = a2.shape[0]
        point = (1, 1) if layer.is_conv else ()
        factors = {
            "a1": a1.reshape(layer.in_size, rank, *point).contiguous(),
            "a2": a2.reshape(rank, layer.in_size, *point).contiguous(),
            "b1": b1.reshape(layer.out_size, rank, *point).contiguous(),
            "b2": b2.reshape(rank, *layer.weight_shape[1:]).contiguous(),
        }
        return cls(layer, factors, alpha_of(tensors, rank))

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """The frozen layer gets x + s a1(a2(x)); s b1(b2(x)) is added to its output."""
        if self.is_dropped:
            return base(x)
        scale = self.strength * self.alpha / self.rank
        point = partial(layer_product, bias_O=None, geometry=POINT if self.layer.is_conv else None)
        hidden_a, hidden_b = point(x, self.a2.to(x.dtype)), self.operation(x, self.b2.to(x.dtype))
        if self.training:
            hidden_a, hidden_b = self._drop("a", hidden_a), self._drop("b", hidden_b)
        changed_input = x.add(point(hidden_a, self.a1.to(x.dtype)), alpha=scale)
        return base(changed_input).add_(point(hidden_b, self.b1.to(x.dtype)), alpha=scale)

    def _drop(self, side: str, hidden: Tensor) -> Tensor:
        if self.dropout:
            mask = self.draws.keep_mask_of_samples(f"dropout_{side}", self.index, hidden.shape, self.dropout, hidden)
            hidden = hidden * mask
        if self.rank_dropout:
            shape = [1] * hidden.dim()
            shape[0], shape[self.layer.channel_dim] = hidden.shape[0], self.rank
            hidden = hidden * self.draws.keep_mask_of_samples(
                f"rank_dropout_{side}", self.index, shape, self.rank_dropout, hidden
            )
        return hidden

    def delta_weight(self) -> Tensor:
        """Both terms, scaled."""
        factors = tuple(factor.flatten(1) for factor in (self.a1, self.a2, self.b1, self.b2))
        return product(self.layer.weight(self.a1.device), factors, self.alpha / self.rank)

    @torch.no_grad()
    def shrink(self, ratio: float) -> None:
        """Scale both terms, each a product of two factors."""
        for factor in self.parameters():
            factor.mul_(ratio**0.5)

    def file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS's current form."""
        return {f"{name}.weight": parameter.detach() for name, parameter in self.named_parameters()} | {
            "alpha": alpha_tensor(self.alpha)
        }


def _create(start: Start) -> GloraAdapter:
    return GloraAdapter.create(start.layer, start.rank, start.alpha, start.generator)


FORM = Form(
    name="glora",
    signs=("a1.weight",),
    tensors=(*NAMES, "bm.weight", *SCALED),
    needed=each(*NAMES),
    needs_weight=True,
    delta=delta,
    rank=lambda tensors: min(tensors["a1.weight"].shape[:2]),
    read=GloraAdapter.from_tensors,
    loaders="read",
)
ALGORITHMS = (
    Algorithm(
        name="glora",
        form=FORM,
        create=_create,
        options=frozenset({"dropout", "rank_dropout", "rank_stabilized"}),
        is_ranked=True,
        lycoris="glora",
    ),
)
