"""A change of a layer's bias, alone or together with another adapter's change of the weight."""

import torch
from torch import Tensor, nn

from .adapter import Adapter, Forward
from .draws import Draws
from .form import Form, Tensors
from .layer import Layer

NAMES = ("diff_b", "b_norm")
"""Suffixes for layers and for normalizations."""


def change(tensors: Tensors) -> Tensor | None:
    """The change of the bias at strength 1, (O,); None if there is none."""
    return next((tensors[name] for name in NAMES if name in tensors), None)


class BiasAdapter(Adapter):
    """`diff_b` (O,) added to the output; wraps another adapter or stands alone."""

    def __init__(self, layer: Layer, diff_b: Tensor, inner: Adapter | None) -> None:
        super().__init__(layer)
        self.inner = inner
        self.diff_b = nn.Parameter(diff_b)
        self.up_names = frozenset(f"inner.{name}" for name in inner.up_names) if inner else frozenset()

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: Tensors, inner: Adapter | None) -> "BiasAdapter":
        """Read `diff_b`."""
        return cls(layer, tensors["diff_b"].reshape(layer.out_size).clone(), inner)

    def bind(self, draws: Draws, index: int, dropout: float, rank_dropout: float) -> None:
        """Bind the inner adapter too."""
        super().bind(draws, index, dropout, rank_dropout)
        if self.inner:
            self.inner.bind(draws, index, dropout, rank_dropout)

    def set_strength(self, strength: float) -> None:
        """Pass the strength on."""
        super().set_strength(strength)
        if self.inner:
            self.inner.set_strength(strength)

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """The inner adapter's output plus the difference."""
        if self.is_dropped:
            return base(x)
        output = self.inner(x, base) if self.inner else base(x)
        diff = self.diff_b.to(output.dtype) * self.strength
        return output + (diff[:, None, None] if self.layer.is_conv else diff)

    def delta_weight(self) -> Tensor:
        """The inner adapter's."""
        if self.inner:
            return self.inner.delta_weight()
        return torch.zeros(self.layer.weight_shape, device=self.diff_b.device)

    def delta_bias(self) -> Tensor:
        """The parameter itself."""
        return self.diff_b

    def file_tensors(self) -> dict[str, Tensor]:
        """The inner adapter's tensors and `diff_b`."""
        inner = self.inner.file_tensors() if self.inner else {}
        return {**inner, "diff_b": self.diff_b.detach()}

    def delta_norm(self) -> Tensor:
        """The inner adapter's: norms are of weights."""
        return self.inner.delta_norm() if self.inner else self.diff_b.new_zeros(())

    def shrink(self, ratio: float) -> None:
        """Shrink the inner adapter."""
        if self.inner:
            self.inner.shrink(ratio)


FORM = Form(name="bias", signs=NAMES, tensors=NAMES, is_vector=True, delta=None, loaders="read")
