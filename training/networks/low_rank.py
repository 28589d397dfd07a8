"""The low-rank path of a layer, y = W x + b + s B(A x), with its own backward passes.

Autograd gives the same result but is slower: adding in place to the view that a linear layer with bias returns makes it
copy the gradient of every layer's output, and its order of products is slow for matrices with few columns.

Shapes: N rows (leading dimensions of x), I in, O out, R rank, F columns of the weight as a matrix.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from types import MethodType
from typing import Any, Protocol, cast, runtime_checkable

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .products import POINT, Geometry, as_rows, gradients, product

PlainTensors = tuple[Tensor, Tensor | None]
Lender = Callable[[Tensor], AbstractContextManager[PlainTensors]]
"""Weight and bias of a layer for the time of a context, with the dtype and device of the tensor given."""


@runtime_checkable
class FrozenForward(Protocol):
    """A layer's forward that lends the tensors it multiplies with."""

    def lender(self, x: Tensor) -> Lender | None:
        """Lends weight and bias, if all the layer does is multiply x with them; else None."""
        ...


def lender(base: Callable[[Tensor], Tensor], x: Tensor) -> Lender | None:
    """Lends weight and bias of a layer's forward; None if it may do more than multiply x with them."""
    if isinstance(base, FrozenForward):
        return base.lender(x)
    if getattr(base, "__func__", None) is nn.Linear.forward:
        return own_tensors(cast("MethodType", base).__self__, x)
    return None


def own_tensors(module: Any, x: Tensor) -> Lender | None:
    """Lends a layer's own tensors; None if x has another dtype or device."""
    if module.weight.dtype != x.dtype or module.weight.device != x.device:
        return None
    return partial(_lent, module)


def _lent(module: Any, like: Tensor) -> AbstractContextManager[PlainTensors]:
    return nullcontext((module.weight, module.bias))


class LowRankLayer(torch.autograd.Function):
    """A frozen layer with its low-rank change. Keeps x and A x, and borrows the weight again for the backward pass."""

    @staticmethod
    def forward(  # noqa: PLR0913
        ctx: Any, x: Tensor, lend: Lender, down: Tensor, up: Tensor, scale: float, geometry: Geometry | None
    ) -> Tensor:
        """`x` (N, I) for linear layers, (B, I, H, W) for convolutions; all tensors in its dtype."""
        hidden = product(x, down, None, geometry)
        ctx.save_for_backward(x, down, up, hidden)
        ctx.lend, ctx.scale, ctx.geometry = lend, scale, geometry
        with lend(x) as (weight, bias_O):
            return add_up_(product(x, weight, bias_O, geometry), hidden, up, scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of x and of both factors."""
        x, down, up, hidden = ctx.saved_tensors
        needs_x, _, needs_down, needs_up, _, _ = ctx.needs_input_grad
        geometry: Geometry | None = ctx.geometry
        grad_hidden, grad_up = _up_gradients(grad, hidden, up, ctx.scale, geometry, needs_up=needs_up)
        grad_x = None
        if needs_x:
            with ctx.lend(grad) as (weight, _):
                grad_x, _ = gradients(grad, x, weight, geometry, needs_x=True, needs_weight=False)
        beside, grad_down = gradients(
            grad_hidden, x, down, geometry, needs_x=needs_x and geometry is not None, needs_weight=needs_down
        )
        if grad_x is not None and beside is not None:
            grad_x.add_(beside)
        elif grad_x is not None:
            grad_x.addmm_(grad_hidden, down)  # one pass over it instead of two
        return grad_x, None, grad_down, grad_up, None, None


class AddLowRank(torch.autograd.Function):
    """Add s B h in place to a layer's output, without copying the output or its gradient."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, hidden: Tensor, up: Tensor, scale: float) -> Tensor:
        """`output` (..., O) and `hidden` (..., R), or (B, O, H, W) and (B, R, H, W)."""
        ctx.save_for_backward(hidden, up)
        ctx.scale = scale
        ctx.mark_dirty(output)
        return add_up_(output, hidden, up, scale)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Gradients of all three tensors."""
        hidden, up = ctx.saved_tensors
        _, needs_hidden, needs_up, _ = ctx.needs_input_grad
        is_conv = up.dim() == 4
        rows, hidden_rows = (grad, hidden) if is_conv else (as_rows(grad), as_rows(hidden))
        grad_hidden, grad_up = _up_gradients(
            rows, hidden_rows, up, ctx.scale, POINT if is_conv else None, needs_up=needs_up
        )
        return grad, grad_hidden.view(hidden.shape) if needs_hidden else None, grad_up, None


def add_up_(output: Tensor, hidden: Tensor, up: Tensor, scale: float) -> Tensor:
    """Add scale * up(hidden) in place. Autograd does not need the frozen layer's output."""
    if up.dim() == 4:
        return output.add_(product(hidden, up, None, POINT), alpha=scale)
    output.view(-1, output.shape[-1]).addmm_(as_rows(hidden), up.mT, alpha=scale)
    return output


def _up_gradients(
    grad: Tensor, hidden: Tensor, up: Tensor, scale: float, geometry: Geometry | None, *, needs_up: bool
) -> tuple[Tensor, Tensor | None]:
    """Gradients of A x and of B."""
    point = None if geometry is None else POINT
    grad_hidden, grad_up = gradients(grad, hidden, up, point, needs_x=True, needs_weight=needs_up)
    assert grad_hidden is not None
    if scale != 1:  # two kernels a layer; with alpha = rank they would change nothing
        grad_hidden.mul_(scale)
        if grad_up is not None:
            grad_up.mul_(scale)
    return grad_hidden, grad_up
