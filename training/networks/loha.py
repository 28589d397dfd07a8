"""Low-rank Hadamard product, delta = s (w1_a w1_b) * (w2_a w2_b) with s = alpha / rank.

FedPara, https://arxiv.org/abs/2108.06098, in LyCORIS' form, https://arxiv.org/abs/2309.14859. The product of two
matrices of rank R has a rank of up to R squared.

Shapes: R rank, O out, F fan in (I times kernel).
"""

import torch
from torch import Tensor, nn

from .adapter import alpha_tensor, pop_alpha
from .layer import Layer
from .rebuild import RebuiltAdapter

NAMES = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")


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
        """Normal start as in LyCORIS, `hada_w2_a` zero."""
        w1_b = torch.randn(rank, layer.fan_in, generator=generator)
        w1_a = torch.randn(layer.out_size, rank, generator=generator) * 0.1
        w2_b = torch.randn(rank, layer.fan_in, generator=generator)
        return cls(layer, (w1_a, w1_b, torch.zeros(layer.out_size, rank), w2_b), alpha)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor]) -> "LohaAdapter":
        """Take the factors; Tucker cores are folded into the second of each pair."""
        w1_a, w1_b, w2_a, w2_b = (tensors.pop(name).float() for name in NAMES)
        if "hada_t1" in tensors:
            w1_a, w1_b = fold_tucker(tensors.pop("hada_t1").float(), w1_a, w1_b)
            w2_a, w2_b = fold_tucker(tensors.pop("hada_t2").float(), w2_a, w2_b)
        factors = (w1_a.contiguous(), w1_b.flatten(1).contiguous(), w2_a.contiguous(), w2_b.flatten(1).contiguous())
        return cls(layer, factors, pop_alpha(tensors, w1_b.shape[0]))

    def delta_weight(self) -> Tensor:
        """(alpha / rank) times the Hadamard product."""
        return self._delta(self.hada_w1_b)

    def drawn_delta(self) -> Tensor:
        """With rank dropout, ranks of the first product are left out."""
        return self._delta(self.drop_rows(self.hada_w1_b))

    def _delta(self, w1_b: Tensor) -> Tensor:
        first = self.hada_w1_a @ (w1_b * (self.alpha / self.rank))
        return (first * (self.hada_w2_a @ self.hada_w2_b)).view(self.layer.weight_shape)

    def file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS' form."""
        return {name: parameter.detach() for name, parameter in self.named_parameters()} | {
            "alpha": alpha_tensor(self.alpha)
        }


def fold_tucker(core: Tensor, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Plain factors (O, R) and (R, F) of a Tucker triple: core (R, R, K, K), a (R, O), b (R, I)."""
    return a.mT, torch.einsum("ijkl,jr->irkl", core, b).flatten(1)
