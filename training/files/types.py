"""Converts a LoRA's numbers to another dtype, without silent loss."""

from collections.abc import Mapping
from math import log2

import torch
from torch import Tensor


def cast(name: str, tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    """A floating-point tensor in `dtype`; others, and any tensor with None, unchanged.

    A scalar (alpha) that the dtype cannot represent exactly stays in float32: all loaders read it in any dtype, and
    bfloat16 would turn 301 into 300.

    Raises:
        ValueError: A finite number would become infinite; fp16 ends at 65504.
    """
    if dtype is None or tensor.dtype == dtype or not tensor.is_floating_point():
        return tensor
    result = tensor.to(dtype)
    if tensor.numel() == 1 and not bool((result.to(tensor.dtype) == tensor).all()):
        return tensor.float()
    if not is_finite(result) and is_finite(tensor):
        largest = float(tensor.abs().max())
        raise ValueError(f"dtype: {name} has {largest:g}, too large for {_name(dtype)}; save as bf16 or fp32 instead")
    return result


def evened(up: Tensor, down: Tensor) -> tuple[Tensor, Tensor]:
    """The same product with factors of similar size, exact because scaled by a power of two.

    If alpha is far below the rank, `up` with the scale in it would have numbers too small for half precision.
    """
    sizes = [float(factor.double().square().mean().sqrt()) for factor in (up, down)]
    if not all(sizes):
        return up, down
    power = 2.0 ** round(log2(sizes[1] / sizes[0]) / 2)
    return up * power, down / power


def lost(full: Mapping[str, Tensor], stored: Mapping[str, Tensor]) -> str:
    """A sentence about tensors that became all zeros in the stored dtype; empty if there are none."""
    names = [name for name, tensor in stored.items() if bool(full[name].any()) and not bool(tensor.any())]
    if not names:
        return ""
    kind, largest = _name(stored[names[0]].dtype), max(float(full[name].abs().max()) for name in names)
    return (
        f"{len(names)} of {len(stored)} tensors are all zeros in {kind}, which cannot hold numbers as small as theirs "
        f"(up to {largest:.2g}): save_dtype float32 keeps them; a higher learning rate or more steps make them larger"
    )


def is_finite(tensor: Tensor) -> bool:
    """Whether it contains neither NaN nor infinity; always true for integers."""
    wide = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
    return bool(wide.isfinite().all())


def _name(dtype: torch.dtype) -> str:
    return {torch.float16: "fp16", torch.bfloat16: "bf16"}.get(dtype, str(dtype).removeprefix("torch."))
