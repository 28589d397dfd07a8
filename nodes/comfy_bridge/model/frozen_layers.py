"""Backward passes through layers whose weight is cast or dequantized in every forward.

If weights are quantized, in another half format, or outside the device, the host casts each one while its layer runs.
Autograd would keep every cast weight until the backward pass: a second copy of the model, and, with streamed weights,
memory that is reused meanwhile. Here the weight is cast again in the backward pass and nothing is kept.

The host's product of a quantized layer also rounds its input, which has no gradient: here the plain weight is used, for
every loss. Pictures drawn during training use the host's own product.

Shapes: O out, I in, K kernel.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from comfy.ops import CastWeightBiasOp, disable_weight_init
from torch import Tensor, nn

from ....training.networks.layer import is_linear
from ....training.networks.low_rank import Lender, own_tensors
from ....training.networks.products import as_rows, layer_product, linear
from .foreign_layers import ForeignProduct, is_foreign, is_product
from .plain_weights import is_quantized, plain_weights


class _FrozenLinear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, module: nn.Module) -> Tensor:
        ctx.module, ctx.size = module, x.shape
        with plain_weights(module, x) as (weight_OI, bias_O):
            output = F.linear(x, weight_OI, bias_O)  # the host's, so that trained text encoders give its numbers
        # With a batch dimension the product is a view, which adapters could not add to in place.
        return torch.ops.aten._unsafe_view(output, output.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        with plain_weights(ctx.module, grads[0]) as (weight_OI, _):
            return linear(as_rows(grads[0]), weight_OI.mT).view(ctx.size), None


class _FrozenConv2d(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, module: nn.Conv2d) -> Tensor:
        ctx.module, ctx.size = module, x.shape
        with plain_weights(module, x) as (weight_OIKK, bias_O):
            return module._conv_forward(x, weight_OIKK, bias_O)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        module = ctx.module
        # Only the size of the input is needed, so an expanded element replaces it.
        stand_in = grads[0].new_empty(1).expand(ctx.size)
        with plain_weights(module, grads[0]) as (weight_OIKK, _):
            grad_x, _, _ = torch.ops.aten.convolution_backward(
                grads[0], stand_in, weight_OIKK, None, module.stride, module.padding, module.dilation, False, [0, 0],
                module.groups, (True, False, False),
            )  # fmt: skip
        return grad_x, None


PLAIN_FORWARDS = (disable_weight_init.Linear.forward, disable_weight_init.Conv2d.forward)
"""Forwards of the host's layers that are torch's own unless they cast."""


class _FrozenForward:
    """A layer's forward inside training, which keeps no cast weight for the backward pass.

    The layer is asked in every pass, because the host may move weights off the device and back while training runs.
    """

    def __init__(self, module: nn.Module, forward: Callable[..., Tensor], frozen: Callable[[Tensor], Tensor]) -> None:
        self._module: Any = module
        self._forward, self._frozen = forward, frozen
        function = getattr(forward, "__func__", None)
        self._is_replaced = function is not type(module).forward
        self._is_foreign = is_foreign(module)
        self._is_plain = function in PLAIN_FORWARDS and not self._is_foreign

    def __call__(self, x: Tensor) -> Tensor:
        if self._is_replaced:
            return self._forward(x).clone()  # another node may keep its output, while adapters add to it in place
        if self._is_foreign:
            return ForeignProduct.apply(x, self._forward) if is_product(self._module) else self._forward(x)
        is_hosts_turn = torch.is_inference_mode_enabled() or not is_quantized(self._module.weight)
        if is_hosts_turn and not torch.is_grad_enabled():
            return self._forward(x)
        if needs_cast(self._module):
            return self._frozen(x)
        is_ours = self._is_plain and isinstance(self._module, nn.Linear) and own_tensors(self._module, x) is not None
        return layer_product(x, self._module.weight, self._module.bias, None) if is_ours else self._forward(x)

    def lender(self, x: Tensor) -> Lender | None:
        """Lends weight and bias of a linear layer or convolution, if the host only multiplies with them.

        Cast ones too, so that a run has the same bits wherever the host has put the weights.
        """
        module = self._module
        if not self._is_plain or (isinstance(module, nn.Conv2d) and not _pads_with_zeros(module)):
            return None
        if not needs_cast(module):
            return own_tensors(module, x)
        is_kept_apart = is_quantized(module.weight) or not torch.is_grad_enabled() or torch.compiler.is_compiling()
        return None if is_kept_apart else partial(plain_weights, module)


def _pads_with_zeros(module: nn.Conv2d) -> bool:
    """Whether the padding is zeros: nodes for seamless pictures change the mode, or patch the padding."""
    return module.padding_mode == "zeros" and module._conv_forward.__module__ == "torch.nn.modules.conv"


def _frozen(module: nn.Module, forward: Callable[..., Tensor]) -> _FrozenForward | None:
    """A forward that keeps no cast weight, or None for kinds of layer that are never cast."""
    frozen: Callable[[Tensor], Tensor]
    if is_linear(module):
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
    """Weight and bias in the input's dtype, as small copies that may outlive the layer."""
    if module.weight is None:
        return None, None
    with plain_weights(module, x) as (weight, bias):
        return weight.clone(), None if bias is None else bias.clone()


def _group_norm(module: nn.GroupNorm, x: Tensor) -> Tensor:
    return F.group_norm(x, module.num_groups, *_norm_weights(module, x), module.eps)


def _layer_norm(module: nn.LayerNorm, x: Tensor) -> Tensor:
    return F.layer_norm(x, module.normalized_shape, *_norm_weights(module, x), module.eps)


def needs_cast(module: Any) -> bool:
    """Whether the host creates another tensor from the layer's weight in every forward."""
    if is_quantized(module.weight) or (is_linear(module) and not isinstance(module, nn.Linear)):
        return True
    return bool(module.comfy_cast_weights or module.weight_function or module.bias_function)


@contextmanager
def frozen_layers(root: nn.Module) -> Generator[None, None, None]:
    """Context in which layers with a cast weight keep nothing of it for the backward pass."""
    changed: list[tuple[nn.Module, Any]] = []
    try:
        for module in root.modules():
            is_cast = isinstance(module, CastWeightBiasOp) or (is_product(module) and is_foreign(module))
            forward = _frozen(module, module.forward) if is_cast else None
            if forward is not None:
                changed.append((module, module.__dict__.get("forward")))
                module.forward = forward
        yield
    finally:
        for module, own in changed:
            module.__dict__.pop("forward", None)
            if own is not None:  # another node's forward
                module.forward = own
