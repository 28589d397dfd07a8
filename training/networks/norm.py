"""Changes of scale and shift of normalization layers."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .adapter import Adapter, Forward
from .form import Form, Tensors, each
from .layer import Layer


def delta(tensors: Tensors, weight: Tensor | None = None) -> Tensor:
    """The change of the scale."""
    return tensors["w_norm"]


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
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "NormAdapter":
        """Read `w_norm` and `b_norm`, or `diff` and `diff_b` as other trainers write them."""
        names = ("w_norm", "b_norm") if "w_norm" in tensors else ("diff", "diff_b")
        zero = torch.zeros(layer.weight_shape)
        w_norm, b_norm = (tensors.get(name, zero).reshape(layer.weight_shape).clone() for name in names)
        return cls(layer, w_norm, b_norm)

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Frozen output plus the normalized input scaled and shifted by the differences."""
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
        """LyCORIS's form."""
        return {"w_norm": self.w_norm.detach(), "b_norm": self.b_norm.detach()}


FORM = Form(
    name="norm",
    signs=("w_norm",),
    tensors=("w_norm", "b_norm"),
    needed=each("w_norm"),
    is_vector=True,
    delta=delta,
    read=NormAdapter.from_tensors,
    loaders="read",
)
