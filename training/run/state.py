"""The exact state of a run on disk: one safetensors file, so that it is complete or absent.

Tensors are named `network/...`, `optimizer/...`, `ema/...`; everything else is JSON under the metadata key `state`. A
checksum over the tensors detects a damaged file, as a power cut can leave behind.
"""

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
from torch import Tensor

from ..files.atomic import write_atomic
from ..files.json_files import read_json
from ..files.layout import header_bytes, tensor_area
from ..files.lora_file import open_tensors
from ..loop.job import TrainJob, TrainState
from ..loop.stage_optimizer import optimizer_for_stage
from ..optimizers.state import load_optimizer_state, optimizer_state
from .folder import Unreadable

FORMAT = "1"


@dataclass(frozen=True, slots=True)
class SavedState:
    """A loaded state file."""

    tensors: dict[str, Tensor]
    data: dict[str, Any]

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return int(self.data["step"])


def save_state(path: Path, job: TrainJob, state: TrainState) -> None:
    """Write network, optimizer, EMA and position; equal states give equal bytes."""
    tensors = {f"network/{name}": p.detach() for name, p in job.network.named_parameters()}
    data: dict[str, Any] = {"step": state.step, "optimizer_stage": state.optimizer_stage}
    if state.loss_scale is not None:
        data["loss_scale"] = state.loss_scale
    if state.optimizer is not None:
        optimizer_tensors, data["optimizer"] = optimizer_state(state.optimizer)
        tensors |= {f"optimizer/{name}": value for name, value in optimizer_tensors.items()}
    if state.ema is not None:
        tensors |= {f"ema/{name}": value for name, value in state.ema.state().items()}
    flat = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    metadata = {"format": FORMAT, "state": json.dumps(data), "checksum": _checksum(flat)}

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(header_bytes(flat, metadata))
            file.writelines(tensor_area(flat))

    write_atomic(path, write)


def load_state(path: Path) -> SavedState | None:
    """The state, or None if the file is missing, damaged, of another format, or has non-finite weights.

    Raises:
        Unreadable: The file exists but the system refuses to read it now.
    """
    try:
        with open_tensors(path) as file:
            metadata = file.metadata() or {}
            if metadata.get("format") != FORMAT:
                return None
            # Copied: tensors in the file's memory map would change with it, and keep Windows from deleting it.
            tensors = {name: file.get_tensor(name).clone() for name in file.keys()}  # noqa: SIM118 - it is no mapping
            is_whole = metadata["checksum"] == _checksum(tensors) and is_finite(_under(tensors, "network/").values())
            return SavedState(tensors, read_json(metadata["state"])) if is_whole else None
    except (FileNotFoundError, ValueError, KeyError, safetensors.SafetensorError):
        return None
    except OSError as error:
        raise Unreadable(path, error) from error


def is_finite(tensors: Iterable[Tensor]) -> bool:
    """True if every weight is finite."""
    return all(bool(tensor.isfinite().all()) for tensor in tensors)


def restore(saved: SavedState, job: TrainJob, state: TrainState) -> None:
    """Put a saved state into the job's network and into `state`, bit for bit."""
    groups = {prefix: _under(saved.tensors, prefix) for prefix in ("network/", "optimizer/", "ema/")}
    for name, parameter in job.network.named_parameters():
        if name in groups["network/"]:  # otherwise of a part that only a stage added since then trains
            parameter.data.copy_(groups["network/"][name])
    state.step = saved.step
    state.loss_scale = saved.data.get("loss_scale")  # states of earlier versions have none
    if "optimizer" in saved.data:
        # the stage it was built for, so that a finished stage is not taken for the next one
        optimizer = optimizer_for_stage(job, state, max(saved.data["optimizer_stage"], 0))
        load_optimizer_state(optimizer, groups["optimizer/"], saved.data["optimizer"])
    if state.ema is not None:
        # stages before the first average save none: it equals the network
        averages = groups["ema/"] or groups["network/"]
        state.ema.load_state({name: averages.get(name, own.detach()) for name, own in job.network.named_parameters()})


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    value = 0
    for piece in tensor_area(tensors):
        value = zlib.crc32(piece, value)
    return f"{value:08x}"


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
