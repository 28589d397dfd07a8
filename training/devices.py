"""Efficient use of a GPU: many small tensors in one upload without waiting, one kernel for a list of tensors."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any, cast

import torch
from torch import Tensor

PINNED = ("cuda", "xpu", "npu")
"""Devices that copy from pinned memory asynchronously."""


def upload(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy CPU tensors to a device as float32 in one transfer; on the CPU they are returned as they are.

    A plain `.to(device)` makes the CPU wait for all work queued on the device. Gradients come back in one transfer.
    """
    if device.type == "cpu" or not tensors:
        return [tensor.float() for tensor in tensors]
    sizes = [tensor.numel() for tensor in tensors]
    there = send(torch.cat([tensor.float().reshape(-1) for tensor in tensors]), device)
    return [part.view(tensor.shape) for part, tensor in zip(_cut(there, sizes), tensors, strict=True)]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on a device, with type and values; the CPU does not wait for a device with pinned memory."""
    return cast("Tensor", _Sent.apply(tensor, device)) if tensor.requires_grad else _copied(tensor, device)


class _Sent(torch.autograd.Function):
    """Copying from pinned memory has no gradient of torch's own."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor, device: torch.device) -> Tensor:
        return _copied(tensor, device)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].cpu(), None


def _copied(tensor: Tensor, device: torch.device) -> Tensor:
    is_pinned = device.type in PINNED
    return (tensor.pin_memory() if is_pinned else tensor).to(device, non_blocking=is_pinned)


def _cut(flat: Tensor, sizes: Sequence[int]) -> list[Tensor]:
    ends = list(accumulate(sizes))
    return [flat[end - size : end] for end, size in zip(ends, sizes, strict=True)]


def by_device(tensors: Iterable[Tensor]) -> dict[torch.device, list[Tensor]]:
    """Group tensors by device, since a kernel over a list takes tensors of one device. Parts may be on several."""
    found: dict[torch.device, list[Tensor]] = {}
    for tensor in tensors:
        found.setdefault(tensor.device, []).append(tensor)
    return found
