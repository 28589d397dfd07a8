"""The products of linear layers and convolutions, and their gradients, for our own backward passes.

This is the plain path; `processor.py` replaces it where a CPU has a faster way to the same numbers.

Shapes: N rows, I in, O out, K kernel, B batch, H W rows and columns.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from . import processor

Pair = tuple[int, ...]
Geometry = tuple[Pair, Pair, Pair]
"""Stride, padding and dilation of a convolution."""
POINT: Geometry = (1, 1), (0, 0), (1, 1)
"""Geometry of a 1 x 1 convolution."""


def linear(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """A linear layer's x W^T + b; not differentiable."""
    faster = processor.linear(x_NI, weight_OI, bias_O)
    return F.linear(x_NI, weight_OI, bias_O) if faster is None else faster


def product(x: Tensor, weight: Tensor, bias_O: Tensor | None, geometry: Geometry | None) -> Tensor:
    """A linear layer's output, or a convolution's if a geometry is given; not differentiable."""
    if geometry is None:
        return linear(x, weight, bias_O)
    if _is_by_sample(x, weight, geometry):
        return processor.pointwise(x, weight, bias_O)
    return F.conv2d(x, weight, bias_O, *geometry)


def gradients(
    grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, *, needs_x: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and weight. Shapes: `grad` (N, O), `x` (N, I); of convolutions (B, O, H, W), (B, I, H, W)."""
    if geometry is None:
        grad_x = linear(grad, weight.mT) if needs_x else None  # grad W
        return grad_x, processor.outer(grad, x) if needs_weight else None  # grad^T x
    if not (needs_x or needs_weight):
        return None, None
    if _is_by_sample(x, weight, geometry):
        return processor.pointwise_gradients(grad, x, weight, needs_x=needs_x, needs_weight=needs_weight)
    stride, padding, dilation = geometry
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, [0, 0], 1, [needs_x, needs_weight, False]
    )
    return grad_x, grad_weight


def _is_by_sample(x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    return geometry == POINT and weight.shape[2:] == (1, 1) and processor.is_pointwise(x, weight)


def layer_product(x: Tensor, weight: Tensor, bias_O: Tensor | None, geometry: Geometry | None) -> Tensor:
    """The same, differentiable in x (..., I) or (B, I, H, W) and in the weight. With a frozen weight it keeps no x.

    Convolutions are PyTorch's.
    """
    if geometry is not None:
        return F.conv2d(x, weight, bias_O, *geometry)
    return cast("Tensor", _Linear.apply(x, weight, bias_O))


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor:
        ctx.save_for_backward(x if ctx.needs_input_grad[1] else None, weight_OI)
        ctx.shape = x.shape
        y_NO = linear(as_rows(x), weight_OI, bias_O)
        # Not a view of a tensor made here, since adapters add to it in place.
        return torch.ops.aten._unsafe_view(y_NO, (*x.shape[:-1], weight_OI.shape[0]))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, weight_OI = cast("tuple[Tensor, Tensor]", ctx.saved_tensors)
        needs_x, needs_weight, _ = ctx.needs_input_grad
        grad_NO = as_rows(grad)
        x_NI = as_rows(x) if needs_weight else grad_NO
        grad_x, grad_weight = gradients(grad_NO, x_NI, weight_OI, None, needs_x=needs_x, needs_weight=needs_weight)
        return None if grad_x is None else grad_x.view(cast("torch.Size", ctx.shape)), grad_weight, None


def as_rows(x: Tensor) -> Tensor:
    """(..., I) as (N, I)."""
    return x.reshape(-1, x.shape[-1])
