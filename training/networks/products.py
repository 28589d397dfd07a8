"""What linear layers and convolutions compute, and the gradients of it, for backward passes of our own.

Shapes: N rows, I in, O out, K kernel, B batch, H W rows and columns.
"""

import platform
from collections.abc import Callable
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

Pair = tuple[int, ...]
Geometry = tuple[Pair, Pair, Pair]
"""Stride, padding and dilation of a convolution."""
POINT: Geometry = (1, 1), (0, 0), (1, 1)
"""Of a 1 x 1 convolution."""


ONEDNN_FROM = 1 << 20
"""Multiplications of a product, below which calling oneDNN costs more than it saves."""
ONEDNN_ROWS = 16
"""Rows and outputs below which it is slower."""


def _onednn_linear() -> Callable[..., Tensor] | None:
    """Linear layers by oneDNN, which PyTorch brings along but uses for half precision only; None where it is not.

    The operation is what compiled models call, not a public one: it is tried once.
    """
    operation = getattr(torch.ops.mkldnn, "_linear_pointwise", None)
    if operation is None or platform.machine().lower() not in ("x86_64", "amd64"):
        return None
    try:
        operation(torch.ones(2, 3), torch.ones(3, 4).mT, None, "none", [], "")
    except (RuntimeError, NotImplementedError, TypeError):
        return None
    return operation


_ONEDNN = _onednn_linear()


def linear(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None = None) -> Tensor:
    """A linear layer's x W^T + b, not differentiable.

    In float32 on a processor by oneDNN: half the time of the library that PyTorch takes by itself where the processor
    is AMD's. Differs by rounding only.
    """
    if _ONEDNN is not None and _is_onednn_faster(x_NI, weight_OI, x_NI.shape[0]):
        return _ONEDNN(x_NI, weight_OI, bias_O, "none", [], "")  # no activation after it
    return F.linear(x_NI, weight_OI, bias_O)


def _is_onednn_faster(x: Tensor, weight: Tensor, num_rows: int) -> bool:
    num_outputs = weight.shape[0]
    is_large = x.numel() * num_outputs >= ONEDNN_FROM and min(num_rows, num_outputs) >= ONEDNN_ROWS
    is_float32 = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    is_allowed = getattr(torch.backends.mkldnn, "enabled", True) and not torch.compiler.is_compiling()
    return is_large and is_float32 and is_allowed


def product(x: Tensor, weight: Tensor, bias_O: Tensor | None, geometry: Geometry | None) -> Tensor:
    """A linear layer's output, or a convolution's where a geometry is given; not differentiable."""
    if geometry is None:
        return linear(x, weight, bias_O)
    if _is_pointwise(x, weight, geometry):
        output = _by_sample(x, weight.flatten(1))
        return output if bias_O is None else output.add_(bias_O[:, None, None])
    return F.conv2d(x, weight, bias_O, *geometry)


def gradients(
    grad: Tensor, x: Tensor, weight: Tensor, geometry: Geometry | None, *, needs_x: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and weight. `grad` (N, O), `x` (N, I) of a linear layer, (B, O, H, W), (B, I, H, W) of others."""
    if geometry is None:
        return (linear(grad, weight.mT) if needs_x else None), (_outer(grad, x) if needs_weight else None)
    if not (needs_x or needs_weight):
        return None, None
    if _is_pointwise(x, weight, geometry):
        grad_x = _by_sample(grad, weight.flatten(1).mT) if needs_x else None
        if not needs_weight:
            return grad_x, None
        samples = zip(grad.flatten(2).mT, x.flatten(2).mT, strict=True)
        return grad_x, torch.stack([_outer(*sample) for sample in samples]).sum(0).view(weight.shape)
    stride, padding, dilation = geometry
    grad_x, grad_weight, _ = torch.ops.aten.convolution_backward(
        grad, x, weight, None, stride, padding, dilation, False, [0, 0], 1, [needs_x, needs_weight, False]
    )
    return grad_x, grad_weight


def _is_pointwise(x: Tensor, weight: Tensor, geometry: Geometry) -> bool:
    """Whether a convolution is the product of a matrix with each sample, and better computed so."""
    if geometry != POINT or weight.shape[2:] != (1, 1) or not x.is_contiguous():
        return False
    return _ONEDNN is not None and _is_onednn_faster(x, weight, x[0, 0].numel())


def _by_sample(x_BIHW: Tensor, weight_OI: Tensor) -> Tensor:
    """A 1 x 1 convolution, (B, O, H, W)."""
    samples_BNI = x_BIHW.flatten(2).mT
    # A first factor that is transposed is copied: let it be the smaller one.
    if weight_OI.is_contiguous() or weight_OI.numel() <= samples_BNI[0].numel():
        outputs = [linear(weight_OI, sample_NI) for sample_NI in samples_BNI]
    else:
        outputs = [linear(sample_NI, weight_OI).mT for sample_NI in samples_BNI]
    stacked = torch.stack(outputs) if len(outputs) > 1 else outputs[0].contiguous()
    return stacked.view(len(outputs), weight_OI.shape[0], *x_BIHW.shape[2:])


def _outer(grad_NO: Tensor, x_NI: Tensor) -> Tensor:
    """Grad^T x. With the narrow matrix first, which is faster where the other has many columns."""
    if grad_NO.shape[1] <= x_NI.shape[1]:
        return linear(grad_NO.mT, x_NI.mT)
    return linear(x_NI.mT, grad_NO.mT).mT


def layer_product(x: Tensor, weight: Tensor, bias_O: Tensor | None, geometry: Geometry | None) -> Tensor:
    """The same, differentiable in x (..., I) or (B, I, H, W) and in the weight. A frozen weight keeps no x.

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
        # No view of a tensor made here: adapters add to it in place.
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
