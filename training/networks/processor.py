"""Faster float32 products on CPUs; the plain path is in `products.py`.

Each trick can be switched off alone. It stays as long as `python dev.py bench --quick --only tricks` shows that the
layers of a transformer block take at least 5 % longer without it. On an AMD EPYC with AVX-512, one thread, CPU time
without a trick divided by that with it: onednn 1.66, pointwise 1.06, narrow first 1.07 (medians of five pairs).

Shapes: N rows, I in, O out, B batch, H W rows and columns.
"""

import platform
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

ONEDNN_FROM = 1 << 20
"""Multiplications in a product, below which calling oneDNN costs more than it saves."""
ONEDNN_ROWS = 16
"""Rows and outputs below which oneDNN is slower."""
TRICKS = ("onednn", "pointwise", "narrow first")
switched_off: set[str] = set()
"""Tricks that are not used; set by the benchmark and tests."""


def _onednn_linear() -> Callable[..., Tensor] | None:
    """OneDNN's linear layer, which PyTorch ships but uses for half precision only; None if unavailable.

    The operation is not public (compiled models call it), so it is tried once.
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


def linear(x_NI: Tensor, weight_OI: Tensor, bias_O: Tensor | None) -> Tensor | None:
    """X W^T + b by oneDNN: on AMD CPUs half the time of PyTorch's default library."""
    if _ONEDNN is None or "onednn" in switched_off or not _is_large(x_NI, weight_OI, x_NI.shape[0]):
        return None
    return _ONEDNN(x_NI, weight_OI, bias_O, "none", [], "")  # no activation after it


def is_pointwise(x_BIHW: Tensor, weight: Tensor) -> bool:
    """Whether a 1 x 1 convolution is faster as a matrix product per sample."""
    if _ONEDNN is None or {"onednn", "pointwise"} & switched_off or not x_BIHW.is_contiguous():
        return False
    return _is_large(x_BIHW, weight, x_BIHW[0, 0].numel())


def _is_large(x: Tensor, weight: Tensor, num_rows: int) -> bool:
    num_outputs = weight.shape[0]
    is_large = x.numel() * num_outputs >= ONEDNN_FROM and min(num_rows, num_outputs) >= ONEDNN_ROWS
    is_float32 = x.dtype == weight.dtype == torch.float32 and x.device.type == "cpu"
    is_allowed = getattr(torch.backends.mkldnn, "enabled", True) and not torch.compiler.is_compiling()
    return is_large and is_float32 and is_allowed


def outer(grad_NO: Tensor, x_NI: Tensor) -> Tensor:
    """Grad^T x, with the narrow matrix first, which is faster if the other has many columns."""
    if grad_NO.shape[1] <= x_NI.shape[1] or "narrow first" in switched_off:
        return _linear(grad_NO.mT, x_NI.mT)
    return _linear(x_NI.mT, grad_NO.mT).mT


def pointwise(x_BIHW: Tensor, weight: Tensor, bias_O: Tensor | None) -> Tensor:
    """A 1 x 1 convolution, (B, O, H, W), as a product per sample."""
    output = _by_sample(x_BIHW, weight.flatten(1))
    return output if bias_O is None else output.add_(bias_O[:, None, None])


def pointwise_gradients(
    grad: Tensor, x: Tensor, weight: Tensor, *, needs_x: bool, needs_weight: bool
) -> tuple[Tensor | None, Tensor | None]:
    """Gradients of x and weight of `pointwise`."""
    grad_x = _by_sample(grad, weight.flatten(1).mT) if needs_x else None
    if not needs_weight:
        return grad_x, None
    samples = zip(grad.flatten(2).mT, x.flatten(2).mT, strict=True)
    return grad_x, torch.stack([outer(*sample) for sample in samples]).sum(0).view(weight.shape)


def _by_sample(x_BIHW: Tensor, weight_OI: Tensor) -> Tensor:
    """The product of each sample, (B, O, H, W)."""
    samples_BNI = x_BIHW.flatten(2).mT
    # A transposed first factor is copied, so the smaller one comes first.
    if weight_OI.is_contiguous() or weight_OI.numel() <= samples_BNI[0].numel():
        outputs = [_linear(weight_OI, sample_NI) for sample_NI in samples_BNI]
    else:
        outputs = [_linear(sample_NI, weight_OI).mT for sample_NI in samples_BNI]
    stacked = torch.stack(outputs) if len(outputs) > 1 else outputs[0].contiguous()
    return stacked.view(len(outputs), weight_OI.shape[0], *x_BIHW.shape[2:])


def _linear(x_NI: Tensor, weight_OI: Tensor) -> Tensor:
    faster = linear(x_NI, weight_OI, None)
    return F.linear(x_NI, weight_OI) if faster is None else faster
