"""Layers as other packs bring them: weights in blocks of bytes that only the layer's own code unpacks.

Needs ComfyUI on `sys.path`.
"""

from typing import Any

import comfy.ops
import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Blocks(Tensor):
    """Bytes with a scale a row; tells the size of what is packed in it."""

    scale_O1: Tensor
    packed_shape: torch.Size

    @staticmethod
    def pack(weight: Tensor) -> "Blocks":
        """A weight with O rows in 8 bits."""
        scale = weight.flatten(1).abs().amax(1, keepdim=True).clamp_min(1e-12) / 127
        numbers = (weight.flatten(1) / scale).round().to(torch.int8)
        blocks = numbers.view(torch.uint8).flatten().as_subclass(Blocks)
        blocks.scale_O1, blocks.packed_shape = scale, weight.shape
        return blocks

    @property
    def shape(self) -> torch.Size:
        """Of the weight."""
        return self.packed_shape if hasattr(self, "packed_shape") else super().shape

    def unpack(self, dtype: torch.dtype) -> Tensor:
        """The weight."""
        numbers = self.as_subclass(Tensor).view(torch.int8).view(self.packed_shape[0], -1)
        return (numbers * self.scale_O1).to(dtype).view(self.packed_shape)


class PackedLayer:
    """What the layers below have in common: their own cast, and a state dict without values."""

    weight: Any
    bias: Any

    def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
        """The product with the unpacked weight."""
        bias = None if self.bias is None else self.bias.to(input.dtype)
        return self.product(input, self.weight.unpack(input.dtype), bias)

    def _save_to_state_dict(self, destination: dict[str, Tensor], prefix: str, keep_vars: bool) -> None:
        destination[prefix + "weight"] = torch.empty(self.weight.packed_shape, device="meta")
        if self.bias is not None:
            destination[prefix + "bias"] = torch.empty_like(self.bias, device="meta")
        destination[prefix + "temp.weight"] = torch.empty(1, device="meta")


class PackedLinear(PackedLayer, comfy.ops.manual_cast.Linear):
    """A linear layer of such a pack."""

    def product(self, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        """The product, with the bias."""
        return F.linear(x, weight_OI, bias_O)


class PackedConv2d(PackedLayer, comfy.ops.manual_cast.Conv2d):
    """A convolution of such a pack."""

    def product(self, x: Tensor, weight_OIKK: Tensor, bias_O: Tensor | None) -> Tensor:
        """The convolution, with the bias."""
        return self._conv_forward(x, weight_OIKK, bias_O)


class BytesOnly(nn.Module):
    """A linear layer of a pack that tells nothing of it, as NF4 loaders have it."""

    def __init__(self, weight_OI: Tensor, bias_O: Tensor | None) -> None:
        super().__init__()
        self.packed = nn.Parameter(Blocks.pack(weight_OI), requires_grad=False)
        self.bias = bias_O

    def forward(self, x: Tensor) -> Tensor:
        """The product, with the bias."""
        return F.linear(x, self.packed.unpack(x.dtype), self.bias)


class WithoutGradient(PackedLinear):
    """One whose product autograd cannot see."""

    def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
        """The product, cut off."""
        return super().forward_comfy_cast_weights(input).detach()


class WithHalfGradient(PackedLinear):
    """One that tells autograd another thing than it computes."""

    def forward_comfy_cast_weights(self, input: Tensor) -> Tensor:
        """The product of x, and a gradient for half of it."""
        return super().forward_comfy_cast_weights(input.detach() / 2 + input / 2)


def packed_like(module: Any, linear: type[Any] = PackedLinear) -> Any:
    """A layer of the host as such a pack's, same numbers to 8 bits."""
    is_conv = isinstance(module, nn.Conv2d)
    if linear is BytesOnly:
        return BytesOnly(module.weight.float(), module.bias)
    kind = PackedConv2d if is_conv else linear
    layer = kind.__new__(kind)
    layer.__dict__ = {**module.__dict__, "_parameters": {}}
    layer._parameters["weight"] = Blocks.pack(module.weight.float())
    layer._parameters["bias"] = module.bias
    layer.comfy_cast_weights = True
    return layer


def unpacked_like(layer: Any) -> Any:
    """The host's layer with the numbers of a packed one."""
    kind = comfy.ops.manual_cast.Conv2d if isinstance(layer, nn.Conv2d) else comfy.ops.manual_cast.Linear
    plain = kind.__new__(kind)
    plain.__dict__ = {**layer.__dict__, "_parameters": {}}
    plain._parameters["weight"] = nn.Parameter(layer.weight.unpack(torch.float32), requires_grad=False)
    plain._parameters["bias"] = layer.bias
    return plain


def replace(root: nn.Module, old: type[Any] | tuple[type[Any], ...], make: Any) -> int:
    """Puts another layer in the place of each one of a kind; returns how many."""
    places = [(parent, name, child) for parent in root.modules() for name, child in parent.named_children()]
    found = [place for place in places if isinstance(place[2], old)]
    for parent, name, child in found:
        setattr(parent, name, make(child))
    return len(found)
