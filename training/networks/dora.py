"""Weight-decomposed adaptation (DoRA): the magnitude of the weight's columns is trained beside its direction.

Liu et al. 2024, https://arxiv.org/abs/2402.09353: W' = m (W + delta) / |W + delta|. The norm is taken per input
channel, over everything else: that is the axis which ComfyUI, Forge and A1111 read right. It needs the base weight, so
the change W' - W is built, in float32, and applied beside the frozen layer.

Shapes: O out, I in; m is (1, I[, 1, 1]).
"""

import torch
from torch import Tensor, nn

from .adapter import Adapter, frobenius
from .draws import Draws
from .layer import Layer
from .rebuild import RebuiltAdapter

BISECTIONS = 20
EPSILON = torch.finfo(torch.float32).eps


class DoraAdapter(RebuiltAdapter):
    """`dora_scale`, the magnitude, around an adapter that gives the direction."""

    def __init__(self, layer: Layer, inner: Adapter, dora_scale: Tensor | None) -> None:
        super().__init__(layer)
        self.inner = inner
        self.up_names = frozenset(f"inner.{name}" for name in inner.up_names)
        if dora_scale is None:
            dora_scale = column_norm(layer.weight(torch.device("cpu")), dim=1)
        self.dora_scale = nn.Parameter(dora_scale)
        self.norm_dim = 1 if dora_scale.shape[0] == 1 else 0

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor], inner: Adapter) -> "DoraAdapter":
        """Read `dora_scale`, on either axis: (1, I, ...) or, as LyCORIS writes it by default, (O, 1, ...)."""
        scale = tensors.pop("dora_scale").float()
        dims = len(layer.weight_shape)
        return cls(layer, inner, scale.reshape(*scale.shape[:2], *[1] * (dims - 2)).clone())

    def bind(self, draws: Draws, index: int, dropout: float, rank_dropout: float) -> None:
        """Bind the inner adapter too, which makes the masks."""
        super().bind(draws, index, dropout, rank_dropout)
        self.inner.bind(draws, index, dropout, rank_dropout)

    def delta_weight(self) -> Tensor:
        """W' - W."""
        return self._delta(self.inner.delta_weight())

    def drawn_delta(self) -> Tensor:
        """W' - W with the inner adapter's rank dropout."""
        return self._delta(self.inner.drawn_delta())

    def _delta(self, inner_delta: Tensor) -> Tensor:
        weight = self.layer.weight(inner_delta.device)
        changed = weight + inner_delta
        return changed * (self.dora_scale / column_norm(changed, self.norm_dim)) - weight

    @torch.no_grad()
    def shrink(self, ratio: float) -> None:
        """Find how far back towards the base weight the change has the wanted norm; it is not linear in its parts."""
        wanted = ratio * float(self.delta_norm())
        base_scale = column_norm(self.layer.weight(self.dora_scale.device), self.norm_dim)
        factors, scale = [factor.clone() for factor in self.inner.factors()], self.dora_scale.clone()
        low, high = 0.0, 1.0
        for _ in range(BISECTIONS):
            middle = (low + high) / 2
            self._move(factors, base_scale, scale, middle)
            low, high = (middle, high) if float(self.delta_norm()) < wanted else (low, middle)
        self._move(factors, base_scale, scale, low)

    def _move(self, factors: list[Tensor], base_scale: Tensor, scale: Tensor, share: float) -> None:
        """Set the parameters to a share of the change: 0 is the base weight, 1 the values given."""
        for factor, start in zip(self.inner.factors(), factors, strict=True):
            factor.copy_(start * share ** (1 / len(factors)))
        self.dora_scale.copy_(torch.lerp(base_scale, scale, share))

    def file_tensors(self) -> dict[str, Tensor]:
        """The inner adapter's and `dora_scale`."""
        return {**self.inner.file_tensors(), "dora_scale": self.dora_scale.detach()}


def column_norm(weight: Tensor, dim: int) -> Tensor:
    """Norm of each input channel (dim 1) or output channel (dim 0), kept broadcastable; never zero."""
    others = [d for d in range(weight.dim()) if d != dim]
    return frobenius(weight, others) + EPSILON
