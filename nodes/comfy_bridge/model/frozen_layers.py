"""Backward through layers whose weight is not kept in the number format it computes in.

Where weights are fp8, in another half format, or held outside the device, the host casts each one for the moment of its
layer. Autograd would keep every cast weight until backward: a second copy of the model, and with weights streamed in,
memory that is reused meanwhile. Here the weight is cast again in backward and nothing of it is kept.

Shapes: O out, I in, K kernel.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from comfy.ops import CastWeightBiasOp, cast_bias_weight, disable_weight_init, uncast_bias_weight
from torch import Tensor, nn

from ....training.networks.low_rank import PlainTensors
from ....training.networks.products import layer_product


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, module: nn.Linear) -> Tensor:
        ctx.module = module
        weight_OI, bias_O, stream = cast_bias_weight(module, x, offloadable=True)
        output = F.linear(x, weight_OI, bias_O)
        uncast_bias_weight(module, weight_OI, bias_O, stream)
        # With a batch dimension the product is a view, which an adapter could not add to in place.
        return torch.ops.aten._unsafe_view(output, output.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        weight_OI, bias_O, stream = cast_bias_weight(ctx.module, grads[0], offloadable=True)
        grad_x = grads[0] @ weight_OI
        uncast_bias_weight(ctx.module, weight_OI, bias_O, stream)
        return grad_x, None


class _FrozenConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, module: nn.Conv2d) -> Tensor:
        ctx.module, ctx.size = module, x.shape
        weight_OIKK, bias_O, stream = cast_bias_weight(module, x, offloadable=True)
        output = module._conv_forward(x, weight_OIKK, bias_O)
        uncast_bias_weight(module, weight_OIKK, bias_O, stream)
        return output

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        module = ctx.module
        weight_OIKK, bias_O, stream = cast_bias_weight(module, grads[0], offloadable=True)
        # Only the size of the input is asked for; an expanded element stands for it.
        stand_in = grads[0].new_empty(1).expand(ctx.size)
        grad_x, _, _ = torch.ops.aten.convolution_backward(
            grads[0], stand_in, weight_OIKK, None, module.stride, module.padding, module.dilation, False, [0, 0],
            module.groups, (True, False, False),
        )  # fmt: skip
        uncast_bias_weight(module, weight_OIKK, bias_O, stream)
        return grad_x, None


PLAIN_FORWARDS = (disable_weight_init.Linear.forward, disable_weight_init.Conv2d.forward)
"""Of the host's layers that, unless they cast, are torch's own."""


class _FrozenForward:
    """A layer's forward inside training, which keeps no cast weight for the backward pass.

    What it does is asked anew in every pass: the host may move weights off the device, and back, while a run goes on.
    """

    def __init__(self, module: nn.Module, forward: Callable[..., Tensor], frozen: Callable[[Tensor], Tensor]) -> None:
        self._module: Any = module
        self._forward, self._frozen = forward, frozen
        function = getattr(forward, "__func__", None)
        self._is_foreign = function is not type(module).forward
        self._is_plain = function in PLAIN_FORWARDS and function.__module__ == "comfy.ops"

    def __call__(self, x: Tensor) -> Tensor:
        if self._is_foreign:
            return self._forward(x).clone()  # another node may keep its output, and adapters add to it in place
        if not torch.is_grad_enabled():
            return self._forward(x)
        if needs_cast(self._module):
            return self._frozen(x)
        tensors = self.plain_tensors() if isinstance(self._module, nn.Linear) else None
        return self._forward(x) if tensors is None else layer_product(x, *tensors, None)

    def plain_tensors(self) -> PlainTensors | None:
        """Weight and bias of a linear layer or convolution that the host multiplies with as they are."""
        module = self._module
        if not self._is_plain or needs_cast(module):
            return None
        if isinstance(module, nn.Conv2d) and not _pads_with_zeros(module):
            return None
        return module.weight, module.bias


def _pads_with_zeros(module: nn.Conv2d) -> bool:
    """Nodes for seamless pictures set another mode, or patch what pads, of the layer or of torch's class."""
    return module.padding_mode == "zeros" and module._conv_forward.__module__ == "torch.nn.modules.conv"


def _frozen(module: nn.Module, forward: Callable[..., Tensor]) -> _FrozenForward | None:
    """A forward that keeps no cast weight while the host casts it, or None for a kind of layer that is never cast."""
    frozen: Callable[[Tensor], Tensor]
    if isinstance(module, nn.Linear):
        frozen = partial(_apply, _FrozenLinear, module)
    elif isinstance(module, nn.Conv2d) and isinstance(module.padding, tuple):
        frozen = partial(_apply, _FrozenConv2d, module)
    elif isinstance(module, nn.GroupNorm):
        frozen = partial(_group_norm, module)
    elif isinstance(module, nn.LayerNorm):
        frozen = partial(_layer_norm, module)
    else:
        return None
    return _FrozenForward(module, forward, frozen)


def _apply(function: type[torch.autograd.Function], module: nn.Module, x: Tensor) -> Tensor:
    return function.apply(x, module)


def _norm_weights(module: nn.Module, x: Tensor) -> tuple[Tensor | None, Tensor | None]:
    """Weight and bias in the input's type, as copies that may outlive the layer; they are small."""
    if module.weight is None:
        return None, None
    weight, bias, stream = cast_bias_weight(module, x, offloadable=True)
    kept = weight.clone(), None if bias is None else bias.clone()
    uncast_bias_weight(module, weight, bias, stream)
    return kept


def _group_norm(module: nn.GroupNorm, x: Tensor) -> Tensor:
    return F.group_norm(x, module.num_groups, *_norm_weights(module, x), module.eps)


def _layer_norm(module: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, module.normalized_shape, *_norm_weights(module, x), module.eps)


def needs_cast(module: Any) -> bool:
    """Whether the host makes another tensor of the layer's weight in every forward."""
    return bool(module.comfy_cast_weights or module.weight_function or module.bias_function)


@contextmanager
def frozen_layers(root: nn.Module) -> Generator[None, None, None]:
    """Inside, layers whose weight is cast keep nothing of it for backward."""
    changed: list[tuple[nn.Module, Any]] = []
    try:
        for module in root.modules():
            forward = _frozen(module, module.forward) if isinstance(module, CastWeightBiasOp) else None
            if forward is not None:
                changed.append((module, module.__dict__.get("forward")))
                module.forward = forward
        yield
    finally:
        for module, own in changed:
            module.__dict__.pop("forward", None)
            if own is not None:  # another node's
                module.forward = own
