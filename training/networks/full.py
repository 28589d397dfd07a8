"""The whole weight trained as a difference beside the frozen one, and differences of biases and normalizations.

The frozen weight is never replaced, so the base model stays shared, and in half precision a small difference is not
rounded away. Files: `diff`, `diff_b`, `w_norm`, `b_norm`.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .adapter import Adapter, Forward
from .draws import Draws
from .layer import Layer
from .rebuild import RebuiltAdapter


class FullAdapter(RebuiltAdapter):
    """`diff`, in the shape of the weight."""

    def __init__(self, layer: Layer, diff: Tensor) -> None:
        super().__init__(layer)
        self.diff = nn.Parameter(diff)

    @classmethod
    def create(cls, layer: Layer) -> "FullAdapter":
        """Zero."""
        return cls(layer, torch.zeros(layer.weight_shape))

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor]) -> "FullAdapter":
        """Read `diff`."""
        return cls(layer, tensors.pop("diff").float().reshape(layer.weight_shape).clone())

    def delta_weight(self) -> Tensor:
        """The parameter itself."""
        return self.diff

    def file_tensors(self) -> dict[str, Tensor]:
        """One tensor."""
        return {"diff": self.diff.detach()}


class BiasAdapter(Adapter):
    """`diff_b` (O,) added to the output, around another adapter or alone."""

    def __init__(self, layer: Layer, diff_b: Tensor, inner: Adapter | None) -> None:
        super().__init__(layer)
        self.inner = inner
        self.diff_b = nn.Parameter(diff_b)
        self.up_names = frozenset(f"inner.{name}" for name in inner.up_names) if inner else frozenset()

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor], inner: Adapter | None) -> "BiasAdapter":
        """Read `diff_b`."""
        return cls(layer, tensors.pop("diff_b").float().reshape(layer.out_size).clone(), inner)

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
        """The inner adapter's and `diff_b`."""
        inner = self.inner.file_tensors() if self.inner else {}
        return {**inner, "diff_b": self.diff_b.detach()}

    def delta_norm(self) -> Tensor:
        """The inner adapter's: norms are of weights."""
        return self.inner.delta_norm() if self.inner else self.diff_b.new_zeros(())

    def shrink(self, ratio: float) -> None:
        """Shrink the inner adapter."""
        if self.inner:
            self.inner.shrink(ratio)


class NormAdapter(Adapter):
    """Differences of scale and shift of a GroupNorm or LayerNorm: `w_norm` and `b_norm`, (O,)."""

    def __init__(self, layer: Layer, w_norm: Tensor, b_norm: Tensor) -> None:
        super().__init__(layer)
        self.w_norm, self.b_norm = nn.Parameter(w_norm), nn.Parameter(b_norm)

    @classmethod
    def create(cls, layer: Layer) -> "NormAdapter":
        """Zero."""
        return cls(layer, torch.zeros(layer.weight_shape), torch.zeros(layer.weight_shape))

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor]) -> "NormAdapter":
        """Read `w_norm` and `b_norm`, or `diff` and `diff_b` as other trainers write them."""
        names = ("w_norm", "b_norm") if "w_norm" in tensors else ("diff", "diff_b")
        zero = torch.zeros(layer.weight_shape)
        w_norm, b_norm = (tensors.pop(name, zero).float().reshape(layer.weight_shape).clone() for name in names)
        return cls(layer, w_norm, b_norm)

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Frozen output plus the normalized input with the differences as its scale and shift."""
        if self.is_dropped:
            return base(x)
        scale, shift = self.w_norm.to(x.dtype) * self.strength, self.b_norm.to(x.dtype) * self.strength
        module = self.layer.module
        if isinstance(module, nn.GroupNorm):
            return base(x) + F.group_norm(x, module.num_groups, scale, shift, module.eps)
        assert isinstance(module, nn.LayerNorm)
        return base(x) + F.layer_norm(x, self.layer.weight_shape, scale, shift, module.eps)

    def delta_weight(self) -> Tensor:
        """The difference of the scale."""
        return self.w_norm

    def delta_bias(self) -> Tensor:
        """The difference of the shift."""
        return self.b_norm

    @torch.no_grad()
    def shrink(self, ratio: float) -> None:
        """Scale both differences."""
        for parameter in self.parameters():
            parameter.mul_(ratio)

    def file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS' form."""
        return {"w_norm": self.w_norm.detach(), "b_norm": self.b_norm.detach()}
