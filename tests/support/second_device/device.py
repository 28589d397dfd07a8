"""A second device over the processor's memory, which PyTorch and ComfyUI take for a card ("npu").

It computes with the processor's kernels and refuses what a card refuses: tensors of two devices in one operation, and
memory of the host where the device's is meant. Fresh memory is NaN, freed memory is poisoned, a limit in bytes raises
OutOfMemoryError. Launches, waits of the host for the device, and copies are counted.
"""

import ctypes
import sys
import traceback
import types
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import Any

import torch

from ..paths import ROOT
from .build import library

NAME = "npu"
"""The host asks torch for a device of this name, and needs no driver of its own for it."""
DEVICE = f"{NAME}:0"
NUM_DEVICES = 2
LIMIT_BYTES = 6 << 30
"""Of each device, unless a test sets another."""


def install() -> None:
    """Makes the device known, once a process and before ComfyUI is imported."""
    if hasattr(torch, NAME):
        return
    torch.ops.load_library(str(library()))
    torch.utils.rename_privateuse1_backend(NAME)
    torch._register_device_module(NAME, _module())
    sys.modules["torch_npu"] = types.ModuleType("torch_npu")
    torch.version.cuda = None  # else the host takes the machine for one with a card of NVIDIA's
    for index in range(NUM_DEVICES):
        torch.ops.second_device.set_limit(index, LIMIT_BYTES)


@dataclass(frozen=True)
class Counts:
    """What a device was asked to do."""

    launches: int
    """Kernels; views and the making of empty tensors are none. A list of tensors counts as on CUDA."""
    waits: int
    """Times the host waits for the device: numbers read, copies down, and up unless pinned and non_blocking."""
    copies_up: int
    bytes_up: int
    copies_down: int
    allocations: int

    def __sub__(self, other: "Counts") -> "Counts":
        return Counts(*(a - b for a, b in zip(astuple(self), astuple(other), strict=True)))


def counts() -> Counts:
    """Since the process began, of all devices."""
    return Counts(*torch.ops.second_device.counts())


def used(index: int = 0) -> int:
    """Bytes of a device in use."""
    return torch.ops.second_device.memory(index)[0]


def peak(index: int = 0) -> int:
    """Most bytes in use since `reset_peak`."""
    return torch.ops.second_device.memory(index)[1]


def reset_peak(index: int = 0) -> None:
    """Starts counting from what is in use now."""
    torch.ops.second_device.reset_peak(index)


@contextmanager
def limited(num_bytes: int, index: int = 0) -> Iterator[None]:
    """Inside, a device has only so much memory."""
    before = torch.ops.second_device.memory(index)[2]
    torch.ops.second_device.set_limit(index, num_bytes)
    try:
        yield
    finally:
        torch.ops.second_device.set_limit(index, before)


@contextmanager
def without_float64() -> Iterator[None]:
    """Inside, the device has no float64, as Apple's."""
    torch.ops.second_device.set_has_float64(False)
    try:
        yield
    finally:
        torch.ops.second_device.set_has_float64(True)


@contextmanager
def failing_after(allocations: int, words: str = "") -> Iterator[None]:
    """Inside, one allocation fails after so many; by torch's OutOfMemoryError, or a RuntimeError with these words."""
    torch.ops.second_device.fail_after(allocations, words)
    try:
        yield
    finally:
        torch.ops.second_device.fail_after(-1, "")


@dataclass(frozen=True)
class Wait:
    """The host waited for the device."""

    what: str
    place: str
    """The innermost line of the pack that led to it."""


@contextmanager
def listening() -> Generator[list[Wait], None, None]:
    """Inside, every wait is noted with the line of the pack that led to it."""
    waits: list[Wait] = []

    def hear(event: int, num_bytes: int, what: bytes) -> None:
        if event == 0:
            waits.append(Wait(what.decode(), _place()))

    callback = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_int64, ctypes.c_char_p)(hear)
    torch.ops.second_device.set_listener(ctypes.cast(callback, ctypes.c_void_p).value)
    try:
        yield waits
    finally:
        torch.ops.second_device.set_listener(0)


def _place() -> str:
    own = tuple(str(ROOT / room) for room in ("training", "nodes", "tests"))
    for frame in reversed(traceback.extract_stack()[:-2]):
        if frame.filename.startswith(own) and "second_device" not in frame.filename:
            return f"{frame.filename.removeprefix(f'{ROOT}/')}:{frame.lineno} {frame.line}"
    return "?"


def _module() -> types.ModuleType:
    """What torch and ComfyUI ask a device's module for."""
    module: Any = types.ModuleType(f"torch.{NAME}")

    def index_of(device: Any = None) -> int:
        found = torch.device(device).index if isinstance(device, (str, torch.device)) else device
        return module.current_device() if found is None else int(found)

    def memory_stats(device: Any = None) -> dict[str, int]:
        in_use = used(index_of(device))
        return {"reserved_bytes.all.current": in_use, "active_bytes.all.current": in_use}

    def mem_get_info(device: Any = None) -> tuple[int, int]:
        in_use, _, limit = torch.ops.second_device.memory(index_of(device))
        return max(0, limit - in_use), LIMIT_BYTES

    module.is_available = lambda: True
    module.device_count = lambda: NUM_DEVICES
    module.current_device = lambda: torch._C._accelerator_getDeviceIndex()
    module.set_device = lambda device: torch._C._accelerator_setDeviceIndex(index_of(device))
    module.synchronize = lambda device=None: torch.ops.second_device.wait()
    module.empty_cache = lambda: None
    module.get_device_name = lambda device=None: "Second device"
    module.manual_seed = module.manual_seed_all = lambda seed: None
    module.get_rng_state = lambda device=None: torch.zeros(1, dtype=torch.uint8)
    module.set_rng_state = lambda state, device=None: None
    module.get_amp_supported_dtype = lambda: [torch.float16, torch.bfloat16]
    module.memory_allocated = lambda device=None: used(index_of(device))
    module.max_memory_allocated = lambda device=None: peak(index_of(device))
    module.reset_peak_memory_stats = lambda device=None: reset_peak(index_of(device))
    module.set_per_process_memory_fraction = lambda share, device=None: torch.ops.second_device.set_limit(
        index_of(device), int(share * LIMIT_BYTES)
    )
    module.memory_stats, module.mem_get_info = memory_stats, mem_get_info
    module.OutOfMemoryError = torch.OutOfMemoryError
    module._is_in_bad_fork = lambda: False
    return module
