"""(IA)^3: one learned factor per output or input channel, W' = W (1 + weight).

Liu et al. 2022, https://arxiv.org/abs/2205.05638. ComfyUI cannot read LyCORIS's native form (`weight`, `on_input`), so
the file stores the change as `diff`, which every program reads; the native form is written on request.
"""

from re import compile as regex
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from . import full
from .adapter import Adapter, Forward, frobenius
from .algorithm import Algorithm, Start
from .form import Form, Tensors, each
from .layer import Layer

if TYPE_CHECKING:
    from .settings import NetworkSettings

INPUT_SCALED = ("ff.net.2", "mlp.fc2")
"""Layers whose input is scaled, as in the paper: the hidden activations of a feed-forward."""


def product(weight: Tensor, factors: Tensor, on_input: bool) -> Tensor:
    """The formula: every channel of the weight times its factor."""
    shape = [1] * weight.dim()
    shape[1 if on_input else 0] = -1
    return weight * factors.reshape(shape)


def delta(tensors: Tensors, weight: Tensor | None) -> Tensor:
    """The change of the weight."""
    assert weight is not None
    return product(weight, tensors["weight"], bool(tensors["on_input"]))


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
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "Ia3Adapter":
        """Read the native form."""
        return cls(layer, tensors["weight"].flatten().clone(), bool(tensors["on_input"]))

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
        return product(self.layer.weight(self.weight.device), self.weight, self.on_input)

    def file_tensors(self) -> dict[str, Tensor]:
        """The change of the whole weight."""
        return {"diff": self.delta_weight().detach()}

    def native_file_tensors(self) -> dict[str, Tensor]:
        """LyCORIS's form."""
        weight = self.weight.detach()
        return {
            "weight": weight[None, :, None, None] if self.layer.is_conv else weight,
            "on_input": torch.tensor(float(self.on_input)),
        }


NATIVE = Form(
    name="ia3",
    signs=("on_input",),
    tensors=("weight", "on_input"),
    needed=each("weight", "on_input"),
    needs_weight=True,
    delta=delta,
    read=Ia3Adapter.from_tensors,
)


def _is_on_input(path: str) -> bool:
    return path.endswith(INPUT_SCALED)


def _adopt(adapter: Adapter, path: str, settings: "NetworkSettings") -> Adapter:
    """Convert a difference of the whole weight that is one factor per channel times the base weight."""
    if not isinstance(adapter, full.FullAdapter):
        return adapter
    return Ia3Adapter.from_diff(adapter.layer, adapter.diff.detach(), _is_on_input(path)) or adapter


def _create(start: Start) -> Ia3Adapter:
    return Ia3Adapter.create(start.layer, _is_on_input(start.path))


ALGORITHMS = (
    Algorithm(
        name="ia3",
        form=NATIVE,
        create=_create,
        adopt=_adopt,
        sizes=frozenset(),
        own_targets=regex(r".*\.(to_k|to_v|ff\.net\.2|k_proj|v_proj|mlp\.fc2)"),
        lycoris="ia3",
    ),
)
"""Keys, values and the hidden activations of feed-forwards, as in the paper."""
