"""Trains the whole weight, as a difference beside the frozen one.

The frozen weight is never replaced, so the base model stays shared, and half precision does not round small differences
away.
"""

import torch
from torch import Tensor, nn

from .adapter import Adapter
from .algorithm import Algorithm, Start
from .bias import BiasAdapter
from .form import Form, Tensors, each
from .layer import Layer
from .rebuild import RebuiltAdapter


def delta(tensors: Tensors, weight: Tensor | None = None) -> Tensor:
    """The tensor itself."""
    return tensors["diff"]


def replaced(tensors: Tensors, weight: Tensor | None) -> Tensor:
    """The change, where a file stores the new weight."""
    assert weight is not None
    return tensors["set_weight"].reshape(weight.shape) - weight


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
    def from_tensors(cls, layer: Layer, tensors: Tensors) -> "FullAdapter":
        """Read `diff`."""
        return cls(layer, tensors["diff"].reshape(layer.weight_shape).clone())

    def delta_weight(self) -> Tensor:
        """The parameter itself."""
        return self.diff

    def file_tensors(self) -> dict[str, Tensor]:
        """One tensor."""
        return {"diff": self.diff.detach()}


def _create(start: Start) -> Adapter:
    adapter, layer = FullAdapter.create(start.layer), start.layer
    has_bias = start.settings.train_bias and layer.has_bias
    return BiasAdapter(layer, torch.zeros(layer.out_size), adapter) if has_bias else adapter


FORM = Form(
    name="full",
    signs=("diff",),
    tensors=("diff",),
    needed=each("diff"),
    delta=delta,
    read=FullAdapter.from_tensors,
    loaders="read",
)
ALGORITHMS = (
    Algorithm(
        name="full", form=FORM, create=_create, options=frozenset({"train_bias"}), sizes=frozenset(), lycoris="full"
    ),
)
REPLACED = Form(
    name="set",
    signs=("set_weight",),
    tensors=("set_weight",),
    needed=each("set_weight"),
    needs_weight=True,
    delta=replaced,
    loaders="read",
)
"""Files with a new weight instead of a change; nothing here trains one."""
