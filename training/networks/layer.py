"""What an adapter knows about its module: shape, geometry, and read access to the frozen weight.

Shapes: O out, I in (channels or features), K kernel rows and columns.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from typing import cast

import torch
from torch import Tensor, nn

from .products import Geometry, layer_product

Operation = Callable[[Tensor, Tensor], Tensor]
ReadTensor = Callable[[nn.Module, str], Tensor]
"""(module, `weight` or `bias`) to the tensor that the frozen model computes with; any device, any dtype."""


def own_tensor(module: nn.Module, name: str) -> Tensor:
    """The module's own parameter; correct unless a host patches it."""
    tensor = getattr(module, name)
    assert isinstance(tensor, Tensor)
    return tensor


def is_linear(module: nn.Module) -> bool:
    """Whether a module is a linear layer: torch's, or one of another class with torch's size attributes.

    Hosts keep quantized matrices in classes of their own, whose weight may have any shape.
    """
    sizes = (getattr(module, name, None) for name in ("in_features", "out_features", "weight"))
    return isinstance(module, nn.Linear) or all(size is not None for size in sizes)


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """A frozen Linear, Conv2d or normalization. Stored here, it stays out of the adapter's module tree."""

    module: nn.Module
    """The host's module; its class may be a subclass that casts the weight in its forward."""
    weight_shape: tuple[int, ...]
    """(O, I) of a linear layer, (O, I, K, K) of a convolution, (O,) of a normalization."""
    has_bias: bool
    read: ReadTensor = own_tensor

    @classmethod
    def of(cls, module: nn.Module, read: ReadTensor = own_tensor) -> "Layer":
        """Describe a Linear, an ungrouped Conv2d or a normalization, whose weight may not be loaded yet."""
        has_bias = isinstance(getattr(module, "bias", None), Tensor)
        if is_linear(module):
            sizes = cast("nn.Linear", module)
            return cls(module, (sizes.out_features, sizes.in_features), has_bias, read)
        if isinstance(module, nn.GroupNorm):
            return cls(module, (module.num_channels,), has_bias, read)
        if isinstance(module, nn.LayerNorm):
            return cls(module, tuple(module.normalized_shape), has_bias, read)
        assert isinstance(module, nn.Conv2d) and module.groups == 1
        return cls(module, (module.out_channels, module.in_channels, *module.kernel_size), has_bias, read)

    @property
    def is_conv(self) -> bool:
        """Whether the weight has kernel dimensions."""
        return len(self.weight_shape) == 4

    @property
    def is_spatial(self) -> bool:
        """Whether the kernel is larger than one pixel; such a layer takes `conv_rank`."""
        return self.is_conv and self.weight_shape[2:] != (1, 1)

    @property
    def out_size(self) -> int:
        """O."""
        return self.weight_shape[0]

    @property
    def in_size(self) -> int:
        """I, without the kernel."""
        return self.weight_shape[1]

    @property
    def fan_in(self) -> int:
        """I times kernel size: the columns of the weight seen as a matrix."""
        return prod(self.weight_shape[1:])

    @property
    def channel_dim(self) -> int:
        """Dimension of the layer's output that has size O."""
        return 1 if self.is_conv else -1

    def geometry(self) -> Geometry | None:
        """Stride, padding and dilation of a convolution, None of other layers."""
        module = self.module
        if not self.is_conv:
            return None
        assert isinstance(module, nn.Conv2d) and not isinstance(module.padding, str)
        return module.stride, module.padding, module.dilation

    def operation(self) -> Operation:
        """Function (x, weight) that applies a weight with any O by this layer's geometry, without bias."""
        return partial(layer_product, bias_O=None, geometry=self.geometry())

    def weight(self, device: torch.device) -> Tensor:
        """The frozen weight, detached, at least float32, dequantized if the host keeps it quantized."""
        weight = self.read(self.module, "weight").detach()
        if type(weight) is not Tensor and hasattr(weight, "_qdata"):
            weight = weight.dequantize()
        wide = torch.float64 if weight.dtype == torch.float64 else torch.float32
        return weight.to(device).to(wide)  # in this order: half the bytes, and the device converts them

    def bias_like(self, output: Tensor) -> Tensor | None:
        """The frozen bias in the dtype of an output, shaped to broadcast over it; None if there is none."""
        if not self.has_bias:
            return None
        bias = self.read(self.module, "bias").detach().to(device=output.device, dtype=output.dtype)
        return bias[:, None, None] if self.is_conv else bias
