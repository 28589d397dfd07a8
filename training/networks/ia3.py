"""(IA)^3: one learned factor per output or input channel, W' = W (1 + weight).

Liu et al. 2022, https://arxiv.org/abs/2205.05638. ComfyUI has no reader for LyCORIS' native form (`weight`,
`on_input`), so the file holds the change itself as `diff`, which every program reads; the native form is written on
request.
"""

import torch
from torch import Tensor, nn

from .adapter import Adapter, Forward, frobenius
from .layer import Layer


class Ia3Adapter(Adapter):
    """(IA)^3 on one layer: `weight` (O,) or, with `on_input`, (I,)."""

    def __init__(self, layer: Layer, weight: Tensor, on_input: bool) -> None:
        super().__init__(layer)
        self.weight = nn.Parameter(weight)
        self.on_input = on_input

    @classmethod
    def create(cls, layer: Layer, on_input: bool) -> "Ia3Adapter":
        """Zero, which is no change."""
        return cls(layer, torch.zeros(layer.in_size if on_input else layer.out_size), on_input)

    @classmethod
    def from_tensors(cls, layer: Layer, tensors: dict[str, Tensor]) -> "Ia3Adapter":
        """Read the native form."""
        return cls(layer, tensors.pop("weight").float().flatten().clone(), bool(tensors.pop("on_input")))

    @classmethod
    def from_diff(cls, layer: Layer, diff: Tensor, on_input: bool) -> "Ia3Adapter | None":
        """The factors whose change is `diff`, or None where no factors give it (within 1 %)."""
        weight = layer.weight(diff.device)
        others = [dim for dim in range(diff.dim()) if dim != (1 if on_input else 0)]
        factors = (diff * weight).sum(others) / weight.square().sum(others).clamp_min(torch.finfo(torch.float32).tiny)
        adapter = cls(layer, factors.to(torch.float32), on_input)
        is_alike = frobenius(adapter.delta_weight() - diff) <= 0.01 * frobenius(diff)
        return adapter if bool(is_alike) else None

    def forward(self, x: Tensor, base: Forward) -> Tensor:
        """Scale the input, or the output without its bias."""
        if self.is_dropped:
            return base(x)
        weight = self.weight.to(x.dtype) * self.strength
        weight = weight[:, None, None] if self.layer.is_conv else weight
        if self.on_input:
            return base(torch.addcmul(x, x, weight))
        output = base(x)
        bias = self.layer.bias_like(output)
        return torch.addcmul(output, output if bias is None else output - bias, weight)

    def delta_weight(self) -> Tensor:
        """The base weight times the factors."""
        shape = [1] * len(self.layer.weight_shape)
        shape[1 if self.on_input else 0] = -1
        return self.layer.weight(self.weight.device) * self.weight.view(shape)

    def file_tensors(self) -> dict[str, Tensor]:
        """The whole change."""
        return {"diff": self.delta_weight().detach()}

    def native_file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS' form."""
        weight = self.weight.detach()
        return {
            "weight": weight[None, :, None, None] if self.layer.is_conv else weight,
            "on_input": torch.tensor(float(self.on_input)),
        }
