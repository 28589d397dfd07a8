"""Settings of the GPU during training: current device, exact sums, deterministic kernels, random generators.

Nothing is set for a CPU.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.utils.deterministic as uninitialized

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


CUBLAS, CUBLAS_FIXED = "CUBLAS_WORKSPACE_CONFIG", (":4096:8", ":16:8")
"""The variable that CUDA's products read once, and its values with which they always sum in the same order."""


def refuse_undetermined(device: torch.device) -> None:
    """Raise ValueError where torch could not compute products on an NVIDIA card deterministically."""
    if device.type == "cuda" and torch.version.cuda and os.environ.get(CUBLAS) not in CUBLAS_FIXED:
        raise ValueError(
            f"deterministic is on, but products on this card are not: start ComfyUI with --deterministic, or with "
            f"{CUBLAS}={CUBLAS_FIXED[0]} in its environment; or turn deterministic off."
        )


@contextmanager
def deterministic_kernels() -> Iterator[None]:
    """Context in which torch uses kernels that give the same bits in every run.

    Strict, because attention's backward pass stays as it is if torch may only warn. Fresh memory is not filled, which
    would cost time and changes nothing that is read.

    Raises:
        RuntimeError: An operation has no such kernel.
    """
    cudnn: Any = torch.backends.cudnn
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    fills, is_tried = uninitialized.fill_uninitialized_memory, cudnn.benchmark  # pyright: ignore
    try:
        torch.use_deterministic_algorithms(True)
        uninitialized.fill_uninitialized_memory, cudnn.benchmark = False, False  # pyright: ignore
        yield
    except RuntimeError as error:
        if "deterministic implementation" not in str(error):
            raise
        raise RuntimeError(f"turn deterministic off on Train LoRA, or what needs this operation: {error}") from error
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        uninitialized.fill_uninitialized_memory, cudnn.benchmark = fills, is_tried  # pyright: ignore


@contextmanager
def kept_generators(device: torch.device) -> Iterator[None]:
    """Context that restores the random generators of the CPU and of this device; other GPUs are left alone."""
    if device.type not in WITH_GENERATORS:
        with torch.random.fork_rng(devices=[]):
            yield
        return
    with torch.random.fork_rng(devices=[device.index or 0], device_type=device.type):
        yield
