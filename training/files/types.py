"""Converts a LoRA's numbers to another dtype, without silent loss."""

from collections.abc import Mapping
from math import log2

import torch
from torch import Tensor

COARSE = 0.1
"""A tensor that loses more than this share of its size is said to be lost."""
TINY = 1e-30


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


def lost(full: Mapping[str, Tensor], stored: Mapping[str, Tensor], before: Mapping[str, Tensor]) -> str:
    """What the stored dtype cannot hold of trained numbers, in words; empty if nothing is lost.

    `before` is what training started from; a change smaller than the dtype's steps leaves that.
    """
    zeros = [name for name, tensor in stored.items() if bool(full[name].any()) and not bool(tensor.any())]
    coarse = [name for name in stored if name not in zeros and _error(full[name], stored[name]) > COARSE]
    known = {name: tensor for name, tensor in before.items() if name in full}
    same = [name for name, tensor in known.items() if _is_back(full[name], stored[name], tensor)]
    kind = _name(max(stored.values(), key=torch.numel).dtype) if stored else ""
    remedy = "save_dtype float32 keeps them; a higher learning rate or more steps make them larger"
    told: list[str] = []
    if zeros:
        largest = max(float(full[name].abs().max()) for name in zeros)
        told.append(f"all zeros in {kind}, which cannot hold numbers as small as theirs (up to {largest:.2g})")
    if coarse:
        worst = max(_error(full[name], stored[name]) for name in coarse)
        told.append(f"rounded by up to {worst:.0%} of their size in {kind}, which is coarse for such small numbers")
    if same:
        told.append(f"as they were before training in {kind}, whose steps are larger than what was learned")
    counts = [len(names) for names in (zeros, coarse, same) if names]
    lines = [f"{count} of {len(stored)} tensors are {text}" for count, text in zip(counts, told, strict=True)]
    return f"{'; '.join(lines)}: {remedy}" if lines else ""


def _error(full: Tensor, stored: Tensor) -> float:
    """Size of the rounding over the size of the numbers; 0 for a dtype with the same range as float32."""
    if stored.dtype != torch.float16 or not full.numel():
        return 0.0
    return _size(stored.float() - full.float()) / max(TINY, _size(full.float()))


def _size(tensor: Tensor) -> float:
    return float(tensor.square().sum().sqrt())


def _is_back(full: Tensor, stored: Tensor, before: Tensor) -> bool:
    """Whether a tensor changed, and its stored form says that it did not."""
    if full.shape != before.shape or full.numel() == 1:
        return False
    before = before.to("cpu", torch.float32)
    return bool((full.float() != before).any()) and torch.equal(stored, before.to(stored.dtype))


def is_finite(tensor: Tensor) -> bool:
    """Whether it contains neither NaN nor infinity; always true for integers."""
    wide = tensor.float() if tensor.is_floating_point() and tensor.element_size() == 1 else tensor
    return bool(wide.isfinite().all())


def _name(dtype: torch.dtype) -> str:
    return {torch.float16: "fp16", torch.bfloat16: "bf16"}.get(dtype, str(dtype).removeprefix("torch."))
