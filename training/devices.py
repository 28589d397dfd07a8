"""Efficient use of a GPU: many small tensors in one upload without waiting, one kernel for a list of tensors."""

from collections.abc import Iterable, Sequence
from itertools import accumulate

import torch
from torch import Tensor

PINNED = ("cuda", "xpu", "npu")
"""Devices that copy from pinned memory asynchronously."""


def upload(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Copy CPU tensors to a device as float32 in one transfer; on the CPU they are returned as they are.

    A plain `.to(device)` makes the CPU wait for all work queued on the device.
    """
    if device.type == "cpu":
        return [tensor.float() for tensor in tensors]
    sizes = [tensor.numel() for tensor in tensors]
    flat = torch.empty(sum(sizes), pin_memory=device.type in PINNED)
    for part, tensor in zip(_cut(flat, sizes), tensors, strict=True):
        part.copy_(tensor.detach().reshape(-1))
    there = send(flat, device)
    return [part.view(tensor.shape) for part, tensor in zip(_cut(there, sizes), tensors, strict=True)]


def send(tensor: Tensor, device: torch.device) -> Tensor:
    """A CPU tensor on a device that has pinned memory, copied without waiting for the device; type and values stay."""
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
