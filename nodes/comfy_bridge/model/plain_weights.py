"""A layer's weight as a plain tensor while its product is computed: cast, dequantized, patched, then released.

Shapes: O out, I in, K kernel.
"""

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from comfy.ops import cast_bias_weight, uncast_bias_weight
from torch import Tensor


def is_quantized(tensor: Any) -> bool:
    """Whether a tensor is one of the host's packed tensors with scales."""
    return hasattr(tensor, "_qdata")


def dequantized(module: Any, weight: Tensor, dtype: torch.dtype) -> Tensor:
    """The weight that a layer multiplies with, unpacked if it is packed.

    Includes AWQ's `pre_quant_scale`, a factor per column that smooths the input before the product.
    """
    if is_quantized(weight):
        weight = weight.dequantize().to(dtype)
    scale_I = getattr(module, "pre_quant_scale", None)
    return weight if scale_I is None else weight * scale_I.to(weight)


@contextmanager
def plain_weights(module: Any, like: Tensor) -> Generator[tuple[Tensor, Tensor | None], None, None]:
    """Weight and bias with the dtype and device of a layer's input; the host gets them back afterwards."""
    weight, bias, stream = cast_bias_weight(module, like, offloadable=True)
    try:
        yield dequantized(module, weight, like.dtype), bias
    finally:
        uncast_bias_weight(module, weight, bias, stream)
