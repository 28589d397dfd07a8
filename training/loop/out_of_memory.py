"""A run that does not fit the device: noticed, made room for so that it can be saved, and explained."""

import traceback

import torch

from ..base_model import Checkpointing
from ..networks.network import Network
from .stages import Stage

_CPU_MESSAGES = ("can't allocate memory", "not enough memory")


class OutOfMemory(torch.OutOfMemoryError):
    """The device's memory is full; the text says which settings would fit. Hosts treat it as torch's own."""


def is_out_of_memory(error: BaseException) -> bool:
    """True for the errors by which torch says that a device's memory, the CPU's included, is full."""
    if isinstance(error, OutOfMemory):
        return False
    is_cpu = isinstance(error, RuntimeError) and any(text in str(error) for text in _CPU_MESSAGES)
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or is_cpu


def release_step(network: Network, error: BaseException) -> None:
    """Lets go of a failed step's gradients and activations, which the error's frames hold on to."""
    for _, parameter in network.named_parameters():
        parameter.grad = None
    traceback.clear_frames(error.__traceback__)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def advice(stage: Stage, rank: int, gradient_checkpointing: Checkpointing) -> str:
    """What would need less memory, the mildest first."""
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
