"""Out of memory: detects it, frees memory so that the run can be saved, and explains what to change."""

import traceback
from collections.abc import Callable, Generator
from contextlib import contextmanager
from re import search

import torch

from ..base_model import Checkpointing
from ..networks.network import Network
from .stages import Stage

_WORDS = (
    "can'tallocatememory",  # torch on the CPU
    "cannotallocatememory",  # Linux
    "couldnotallocate",  # DirectML, MAGMA
    "failedtoallocate",  # workspaces of cuDNN and others
    "notenoughmemory",
    "notenoughgpuvideomemory",  # DirectML
    "pagingfileistoosmall",  # Windows
    "outofmemory",  # drivers' own, torch.AcceleratorError, HIP, MPS
    "invalidbuffersize",  # MPS, where one tensor is larger than it allows
    "outofdevicememory",  # Intel
    "outofhostmemory",
    "outofresources",  # Intel
    r"backendfailedwitherror:39(?!\d)",  # Intel's number of it
    "alloc(ation)?failed",  # cuBLAS, cuDNN, cuSOLVER, cuFFT, hipBLAS, MIOpen
    "unabletoallocate",
    "errdevicealloc",  # MAGMA
    "statusmemoryerror",  # rocBLAS
    "insufficientresources",  # cuSPARSE
    "statusnotinitialized",  # cuBLAS and others whose handle finds no memory
    "nvmlsuccess==r",  # torch's report of a full card where the driver tells no process
    "std::badalloc",
)
"""Expressions for errors of a full memory that have no class of their own, without spaces and underscores."""

FULL_BEFORE_TRAINING = (
    "the device's memory is full while the model and the network are loaded, before a step is trained. What needs less "
    "memory: no other program or model on the card, a lower rank, fewer layers (targets), a base model in fp8."
)
FULL_WHILE_ENCODING = (
    "the device's memory is full while images and captions are encoded, before a step is trained. What needs less "
    "memory: no other model on the card or in the graph, a lower resolution on the buckets node."
)


class OutOfMemory(torch.OutOfMemoryError):
    """The device's memory is full; the text says which settings would fit. Hosts treat it as torch's error."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for the errors that torch raises when a device's memory is full, the CPU's included."""
    if isinstance(error, OutOfMemory):
        return False
    words = error.strerror if isinstance(error, OSError) and error.strerror else str(error)  # without the file's name
    text = words.lower().replace("_", "").replace(" ", "")
    says_so = isinstance(error, (RuntimeError, OSError)) and any(search(form, text) for form in _WORDS)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or says_so


@contextmanager
def explained_if_full(words: Callable[[], str]) -> Generator[None]:
    """Context that frees what a full memory holds.

    Raises:
        OutOfMemory: The memory is full; with these words.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        release(error)
        raise OutOfMemory(words()) from error


def release_step(network: Network, error: BaseException) -> None:
    """Free a failed step's gradients and activations, which the error's frames keep alive."""
    for _, parameter in network.named_parameters():
        parameter.grad = None
    release(error)


def release(error: BaseException) -> None:
    """Free what the error's frames keep alive and torch's cache of GPU memory."""
    traceback.clear_frames(error.__traceback__)
    for device in (torch.cuda, torch.xpu, torch.mps):
        if device.is_available():
            device.empty_cache()


def advice(stage: Stage, rank: int, gradient_checkpointing: Checkpointing) -> str:
    """What would need less memory, the least costly first."""
    steps: list[str] = []
    if gradient_checkpointing == "off":
        steps.append("gradient_checkpointing on (same result, about a third slower)")
    if stage.batch_size > 1:
        accumulation = stage.batch_size * stage.grad_accumulation_steps
        steps.append(f"batch_size 1 with grad_accumulation_steps {accumulation} (now batch_size {stage.batch_size})")
    if gradient_checkpointing == "on":
        steps.append("gradient_checkpointing finer (same result, slower once more)")
    steps.append("a lower resolution on the buckets node")
    if rank > 4:
        steps.append(f"a rank of {rank // 2} (now {rank})")
    return "; ".join(steps)
