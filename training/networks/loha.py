"""Low-rank Hadamard product, delta = s (w1_a w1_b) * (w2_a w2_b) with s = alpha / rank.

FedPara, https://arxiv.org/abs/2108.06098, in LyCORIS's form, https://arxiv.org/abs/2309.14859. The product of two
matrices of rank R has a rank of up to R squared.

Shapes: R rank, O out, F fan in (I times kernel).
"""

import torch
from torch import Tensor, nn

from .adapter import alpha_tensor
from .algorithm import Algorithm, Start
from .form import SCALED, Form, Tensors, alpha_of, each
from .layer import Layer
from .rebuild import RebuiltAdapter
from .tucker import pair

NAMES = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
Pair = tuple[Tensor, Tensor]


def product(first: Pair, second: Pair, scale: float) -> Tensor:
    """The formula, (O, F); each pair is (O, R) and (R, F)."""
    return (first[0] @ (first[1] * scale)) * (second[0] @ second[1])


def read(tensors: Tensors) -> tuple[Pair, Pair]:
    """Both pairs, (O, R) and (R, I[, K, K]), Tucker cores folded in."""
    one, two = (pair(tensors, f"hada_w{i}_a", f"hada_w{i}_b", f"hada_t{i}") for i in (1, 2))
    return one, two


def delta(tensors: Tensors, weight: Tensor | None = None) -> Tensor:
    """The change of the weight."""
    (w1_a, w1_b), (w2_a, w2_b) = read(tensors)
    rank = w1_b.shape[0]
    change = product((w1_a, w1_b.flatten(1)), (w2_a, w2_b.flatten(1)), alpha_of(tensors, rank) / rank)
    return change.reshape(w1_a.shape[0], *w1_b.shape[1:])


def factors(tensors: Tensors) -> tuple[Tensor, Tensor]:
    """The Hadamard product of two rank-R matrices as one product of rank R^2: all pairs of columns and of rows."""
    (w1_a, w1_b), (w2_a, w2_b) = read(tensors)
    scale = alpha_of(tensors, w1_b.shape[0]) / w1_b.shape[0]
    up = torch.einsum("or,os->ors", w1_a, w2_a).flatten(1) * scale
    down = (w1_b.flatten(1)[:, None] * w2_b.flatten(1)[None]).flatten(0, 1)
    return up, down.reshape(-1, *w1_b.shape[1:])


class LohaAdapter(RebuiltAdapter):
    """LoHa on one layer: `hada_w1_a` and `hada_w2_a` (O, R), `hada_w1_b` and `hada_w2_b` (R, F)."""

    hada_w1_a: nn.Parameter
    hada_w1_b: nn.Parameter
    hada_w2_a: nn.Parameter
    hada_w2_b: nn.Parameter

    def __init__(self, layer: Layer, factors: tuple[Tensor, Tensor, Tensor, Tensor], alpha: float) -> None:
        super().__init__(layer)
        for name, factor in zip(NAMES, factors, strict=True):
            self.register_parameter(name, nn.Parameter(factor))
        self.alpha = alpha
        self.rank = factors[1].shape[0]

    @classmethod
    def create(cls, layer: Layer, rank: int, alpha: float, generator: torch.Generator) -> "LohaAdapter":
        """Normal initialization as in LyCORIS; `hada_w2_a` is zero."""
        w1_b = torch.randn(rank, layer.fan_in, generator=generator)
        w1_a = torch.randn(layer.out_size, rank, generator=generator) * 0.1
        w2_b = torch.randn(rank, layer.fan_in, generator=generator)
        return cls(layer, (w1_a, w1_b, torch.zeros(layer.out_size, rank), w2_b), alpha)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "LohaAdapter":
        """Take the factors, with Tucker cores folded into the second of each pair."""
        (w1_a, w1_b), (w2_a, w2_b) = read(tensors)
        factors = (w1_a.contiguous(), w1_b.flatten(1).contiguous(), w2_a.contiguous(), w2_b.flatten(1).contiguous())
        return cls(layer, factors, alpha_of(tensors, w1_b.shape[0]))

    def delta_weight(self) -> Tensor:
        """(alpha / rank) times the Hadamard product."""
        return self._delta(self.hada_w1_b)

    def drawn_delta(self) -> Tensor:
        """The delta weight with rank dropout applied to the first product."""
        return self._delta(self.drop_rows(self.hada_w1_b))

    def _delta(self, w1_b: Tensor) -> Tensor:
        change = product((self.hada_w1_a, w1_b), (self.hada_w2_a, self.hada_w2_b), self.alpha / self.rank)
        return change.view(self.layer.weight_shape)

    def file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS's form."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()} | {
            "alpha": alpha_tensor(self.alpha)
        }


FORM = Form(
    name="loha",
    signs=("hada_w1_a",),
    tensors=(*NAMES, "hada_t1", "hada_t2", *SCALED),
    needed=each(*NAMES),
    delta=delta,
    factors=factors,
    rank=lambda tensors: tensors["hada_w1_b"].shape[0],
    read=LohaAdapter.from_tensors,
    loaders="read",
)


def _create(start: Start) -> LohaAdapter:
    return LohaAdapter.create(start.layer, start.rank, start.alpha, start.generator)


ALGORITHMS = (
    Algorithm(
        name="loha",
        form=FORM,
        create=_create,
        options=frozenset({"rank_dropout", "rank_stabilized", "weight_decompose"}),
        is_ranked=True,
        pairs=2,
        lycoris="loha",
    ),
)
