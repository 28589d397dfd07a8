"""Linear layers and convolutions of other packs whose weights only their own forward can read: GGUF, NF4 and others.

Their output is linear in the input, however the weight is packed. So the backward pass gets the gradient from the
forward itself, run again with a zero input; neither the unpacked weight nor the input is kept in between. An algorithm
that needs the weight gets it as the gradient of each output.

Shapes: N rows, O out, I in, K kernel rows and columns.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ....training.networks.layer import is_linear
from .plain_weights import is_quantized
from .shared_weights import weights_for_autograd

KNOWN_PACKAGES = ("torch.", "comfy.")
WAY_OUT = "load a model with the host's own Load Checkpoint or Load Diffusion Model"


def is_foreign(module: nn.Module) -> bool:
    """Whether another pack's code computes a layer, or its weight is a special tensor class."""
    functions = (getattr(type(module), name, None) for name in ("forward", "forward_comfy_cast_weights"))
    if any(not _is_known(function) for function in functions if function is not None):
        return True
    weight = getattr(module, "weight", None)
    return isinstance(weight, Tensor) and type(weight) not in (Tensor, nn.Parameter) and not is_quantized(weight)


def _is_known(function: Any) -> bool:
    return str(getattr(function, "__module__", "")).startswith(KNOWN_PACKAGES)


def is_product(module: nn.Module) -> bool:
    """Whether a layer's input and output are all that an adapter beside it needs."""
    return is_linear(module) or isinstance(module, nn.Conv2d)


def name_of(module: nn.Module) -> str:
    """Class of a layer and the package it comes from."""
    return f"{type(module).__qualname__} of {type(module).__module__}"


class ForeignProduct(torch.autograd.Function):
    """A layer's own forward; keeps only the shape of x for the backward pass."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Callable[[Tensor], Tensor]) -> Tensor:
        """`x` (..., I) of a linear layer, (B, I, H, W) of a convolution."""
        ctx.run, ctx.like = forward, (x.shape, x.dtype, x.device)
        output = forward(x)
        return torch.ops.aten._unsafe_view(output, output.shape)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None]:
        """The gradient of x, by running the forward again."""
        shape, dtype, device = ctx.like
        return input_gradient(ctx.run, torch.zeros(shape, dtype=dtype, device=device), grads[0]), None


def input_gradient(forward: Callable[[Tensor], Tensor], x: Tensor, grad: Tensor) -> Tensor:
    """Gradient of a forward with respect to x, for the gradient of its output.

    Raises:
        RuntimeError: The forward is not differentiable.
    """
    with torch.inference_mode(False), torch.enable_grad():
        x = x.detach().clone().requires_grad_()
        return torch.autograd.grad(forward(x), x, grad)[0]


def own_forward(module: nn.Module) -> Callable[[Tensor], Tensor]:
    """A layer's forward without what networks or nodes have put before it."""
    return partial(type(module).forward, module)


def read_weight(module: nn.Module, device: torch.device) -> Tensor:
    """Weight of a foreign layer, float32, (O, I) or (O, I, K, K), as its forward multiplies with it."""
    forward = own_forward(module)
    with torch.inference_mode(False), weights_for_autograd([module]):
        if not isinstance(module, nn.Conv2d):
            sizes: Any = module
            rows_OI = torch.zeros(sizes.out_features, sizes.in_features, device=device)
            return input_gradient(forward, rows_OI, torch.eye(sizes.out_features, device=device))
        place, sides, windows = _inner_place(module)
        images = torch.zeros(module.out_channels, module.in_channels, *sides, device=device)
        output = forward(images[:1])
        grad = output.new_zeros(module.out_channels, *output.shape[1:])
        grad[:, :, place[0], place[1]] = torch.eye(module.out_channels, device=device)
        return input_gradient(forward, images, grad)[:, :, windows[0], windows[1]]


def read_bias(module: nn.Module, device: torch.device) -> Tensor:
    """Bias of a foreign layer, (O,): its output for a zero input."""
    forward = own_forward(module)
    with torch.no_grad(), torch.inference_mode(False):
        if isinstance(module, nn.Conv2d):
            place, sides, _ = _inner_place(module)
            return forward(torch.zeros(1, module.in_channels, *sides, device=device))[0, :, place[0], place[1]]
        sizes: Any = module
        return forward(torch.zeros(1, sizes.in_features, device=device))[0]


def _inner_place(module: nn.Conv2d) -> tuple[list[int], list[int], list[slice]]:
    """Rows and columns: of an output without padding in view, of the image that contains it, and of its view."""
    assert not isinstance(module.padding, str)
    place, sides, windows = [], [], []
    for size, step, padding, spread in zip(
        module.kernel_size, module.stride, module.padding, module.dilation, strict=True
    ):
        index = -(-padding // step)
        start, width = index * step - padding, spread * (size - 1) + 1
        place.append(index)
        sides.append(start + width)
        windows.append(slice(start, start + width, spread))
    return place, sides, windows
