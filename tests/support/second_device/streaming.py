"""The host's dynamic VRAM on the second device: weights come to it when a layer asks, and may go when it is done.

Stands for the package `comfy_aimdo`, whose own work needs NVIDIA's driver. What leaves the device is poisoned, so that
whoever still looks at it finds no numbers. Pages are kept while `budget` has room for them.
"""

import contextlib
import ctypes
import importlib
import inspect
import itertools
import mmap
import textwrap
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..tiny_models import tiny_sd15_path, tiny_sdxl_path
from .device import DEVICE

ALIGNMENT = 512
POISON = 0xFF


@dataclass
class Streaming:
    """What the host asked for since `restart`."""

    budget: int = 1 << 40
    """Bytes of weights that stay; 0 sends every weight through the cast buffer."""
    misses: int = 0
    """Weights that had to be read from their file."""
    pages: list["Page"] = field(default_factory=list)

    def restart(self, budget: int = 1 << 40) -> None:
        """Forget the counts, evict everything, and set the budget."""
        for page in self.pages:
            page.evict()
        self.budget, self.misses = budget, 0

    @property
    def pinned(self) -> int:
        """Weights that a layer holds now."""
        return sum(page.pins for page in self.pages)

    def has_room(self, size: int) -> bool:
        """Whether a page fits, after others that nobody holds have left."""
        for page in self.pages:
            if self._in_use() + size <= self.budget:
                break
            page.evict()
        return self._in_use() + size <= self.budget

    def _in_use(self) -> int:
        return sum(page.size for page in self.pages if page.memory is not None)


streaming = Streaming()
_serial = itertools.count(1)


@dataclass
class Page:
    """Place of one layer's weights on the device."""

    size: int
    memory: Tensor | None = None
    signature: int | None = None
    pins: int = 0

    def evict(self) -> int:
        """Leave the device unless it is held; returns the bytes freed."""
        if self.memory is None or self.pins:
            return 0
        self.memory.fill_(POISON)
        self.memory = self.signature = None
        return self.size


class ModelVBAR:
    """A model's addresses."""

    def __init__(self, size: int, device: int) -> None:
        self.pages: dict[int, Page] = {}
        self._end = 0

    def alloc(self, size: int) -> tuple["ModelVBAR", int, int]:
        """Address of a layer's weights."""
        key = -(-self._end // ALIGNMENT) * ALIGNMENT
        self._end, self.pages[key] = key + size, Page(size)
        streaming.pages.append(self.pages[key])
        return self, key, size

    def prioritize(self, *_: object) -> None:
        """Everything has the same priority here."""

    deprioritize = prioritize

    def loaded_size(self) -> int:
        """Bytes on the device."""
        return sum(page.size for page in self.pages.values() if page.memory is not None)

    def free_memory(self, size: int) -> int:
        """Evict until so many bytes are free."""
        freed = 0
        for page in self.pages.values():
            freed += page.evict() if freed < size else 0
        return freed


def vbar_fault(address: tuple[ModelVBAR, int, int]) -> tuple[int] | None:
    """Hold a layer's place on the device; None if there is no room."""
    page = address[0].pages[address[1]]
    if page.memory is None:
        streaming.misses += 1
        if not streaming.has_room(page.size):
            return None
        with torch.inference_mode(False):
            page.memory = torch.empty(page.size, dtype=torch.uint8, device=DEVICE)
        page.signature = next(_serial)
    page.pins += 1
    assert page.signature is not None
    return (page.signature,)


def vbar_unpin(address: tuple[ModelVBAR, int, int] | None) -> None:
    """Let go of it."""
    if address is not None:
        page = address[0].pages[address[1]]
        assert page.pins > 0, "a layer lets go of what it does not hold"
        page.pins -= 1


def vbar_signature_compare(one: object, other: object) -> bool:
    """Whether the place still holds what was written then."""
    return one is not None and one == other


class VRAMBuffer:
    """Memory for weights that find no room, used by one layer after the other."""

    def __init__(self, max_size: int, device: int) -> None:
        self.memory = torch.empty(0, dtype=torch.uint8, device=DEVICE)

    def size(self) -> int:
        """Bytes."""
        return self.memory.numel()

    def get(self, size: int, offset: int = 0) -> tuple["VRAMBuffer", int, int]:
        """A part of it; what looked at its beginning before finds poison."""
        with torch.inference_mode(False):
            if self.size() < size + offset:
                larger = torch.empty(size + offset, dtype=torch.uint8, device=DEVICE)
                larger[: self.size()] = self.memory
                self.memory = larger
            if offset == 0:
                self.memory.fill_(POISON)
        return self, offset, size


def aimdo_to_tensor(address: tuple[Any, int, int], device: torch.device) -> Tensor:
    """The bytes at an address."""
    owner, key, size = address
    is_page = isinstance(owner, ModelVBAR)
    memory, start = (owner.pages[key].memory, 0) if is_page else (owner.memory, key)
    place = memory.storage_offset() + start
    return torch.empty(0, dtype=torch.uint8, device=DEVICE).set_(memory.untyped_storage(), place, (size,), (1,))


class HostBuffer:
    """Pinned memory of the host, which is off here."""

    def __init__(self, size: int, *_: object, **__: object) -> None:
        self.size = 0

    def truncate(self, size: int, do_unregister: bool = True) -> None:
        """Shrink it."""
        self.size = size


_files: dict[int, "ModelMMAP"] = {}


class ModelMMAP:
    """A file mapped into memory."""

    def __init__(self, path: str) -> None:
        self._file = Path(path).open("rb")  # noqa: SIM115 - open as long as the map
        self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        self._bytes = (ctypes.c_uint8 * len(self._map)).from_buffer(self._map)
        _files[self._file.fileno()] = self

    def get(self) -> int:
        """Its address."""
        return ctypes.addressof(self._bytes)

    def get_file_handle(self) -> int:
        """Its number."""
        return self._file.fileno()

    def bounce(self) -> bool:
        """Whether it can be mapped again."""
        return True


def read_file_to_device(file: int, offset: int, size: int, stream: object, to: int, *_: object, **__: object) -> None:
    """Copy a part of a file."""
    ctypes.memmove(to, _files[file].get() + offset, size)


class _Stream:
    """A queue of work; there is one order here."""

    def wait_stream(self, other: object) -> None:
        """Nothing is queued."""

    def synchronize(self) -> None:
        """Nothing is queued."""

    def as_context(self, _: object) -> contextlib.AbstractContextManager[None]:
        """What runs inside runs at once."""
        return contextlib.nullcontext()


REPLACED = {
    "model_vbar": (ModelVBAR, vbar_fault, vbar_unpin, vbar_signature_compare),
    "torch": (aimdo_to_tensor,),
    "host_buffer": (HostBuffer, read_file_to_device),
    "vram_buffer": (VRAMBuffer,),
    "model_mmap": (ModelMMAP,),
}


def enable() -> None:
    """Let the imported host stream weights, from now on and for the whole process."""
    memory: Any = importlib.import_module("comfy.memory_management")
    if memory.aimdo_enabled:
        return
    tiny_sd15_path(), tiny_sdxl_path()  # are made of layers that have weights, which the host's have no more after this
    for name, parts in REPLACED.items():
        module = importlib.import_module(f"comfy_aimdo.{name}")
        for part in parts:
            setattr(module, part.__name__, part)
    vbar: Any = importlib.import_module("comfy_aimdo.model_vbar")
    vbar.vbars_analyze = lambda device=None: sum(page.size for page in streaming.pages if page.memory is not None)
    vbar.vbars_reset_watermark_limits = lambda: None
    control: Any = importlib.import_module("comfy_aimdo.control")
    control.analyze = lambda: None
    patcher: Any = importlib.import_module("comfy.model_patcher")
    _let_parameters_move(patcher)
    patcher.CoreModelPatcher = patcher.ModelPatcherDynamic
    memory.aimdo_enabled = True
    management: Any = importlib.import_module("comfy.model_management")
    streams = [_Stream(), _Stream()]
    turn = itertools.cycle(streams)
    management.NUM_STREAMS = len(streams)
    management.get_offload_stream = lambda device: next(turn)
    management.current_stream = lambda device: streams[0]


def _let_parameters_move(patcher: Any) -> None:
    """The data of a parameter cannot go to this kind of device in place, as it can to CUDA: replace the parameter."""
    source = textwrap.dedent(inspect.getsource(patcher.ModelPatcher._load_list))
    changed = source.replace(
        "param.data = param.data.to(", "m._parameters[param_name] = torch.nn.Parameter(param.data.to("
    )
    changed = changed.replace('_comfy_model_dtype", None))', '_comfy_model_dtype", None)), requires_grad=False)')
    exec(changed, patcher.__dict__)
    patcher.ModelPatcher._load_list = patcher.__dict__.pop("_load_list")
