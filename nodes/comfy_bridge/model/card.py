"""Settings of the GPU during training: current device, exact sums, random generators.

Nothing is set for a CPU.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

WITH_GENERATORS = ("cuda", "xpu", "npu")
"""Devices whose random state can be saved; that of others is left alone."""


def refuse_opaque(device: torch.device) -> None:
    """Raise ValueError for DirectML, whose memory no other tensor can share."""
    if device.type == "privateuseone":
        raise ValueError(
            "model is on a DirectML device, on which nothing can be trained: its weights cannot be shared with "
            "autograd. Start ComfyUI with --cpu, or use a build for CUDA, ROCm or Intel XPU."
        )


@contextmanager
def prepared_card(device: torch.device) -> Iterator[None]:
    """Context in which the device is current and half-precision products are summed in float32.

    Streamed weights are ordered against the current device's work, and kernels of other libraries need it. The host's
    --fast sums in float16, which gradients do not survive.
    """
    with _current(device), _exact_sums():
        yield


@contextmanager
def _current(device: torch.device) -> Iterator[None]:
    module: Any = getattr(torch, device.type, None)
    if device.index is None or not hasattr(module, "set_device"):
        yield
        return
    before = module.current_device()
    module.set_device(device.index)
    try:
        yield
    finally:
        module.set_device(before)


@contextmanager
def _exact_sums() -> Iterator[None]:
    matmul: Any = torch.backends.cuda.matmul
    before = getattr(matmul, "allow_fp16_accumulation", False)  # torch 2.7
    if not before:
        yield
        return
    matmul.allow_fp16_accumulation = False
    try:
        yield
    finally:
        matmul.allow_fp16_accumulation = before


@contextmanager
def kept_generators(device: torch.device) -> Iterator[None]:
    """Context that restores the random generators of the CPU and of this device; other GPUs are left alone."""
    if device.type not in WITH_GENERATORS:
        with torch.random.fork_rng(devices=[]):
            yield
        return
    with torch.random.fork_rng(devices=[device.index or 0], device_type=device.type):
        yield
