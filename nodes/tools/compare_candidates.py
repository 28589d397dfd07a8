"""The LoRAs to compare: the base model, steps or rounds of a run, LoRAs of the graph."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...training.compare.layout import NO_LORA, choose_steps
from ...training.files.lora_file import LoraTensors, load_lora
from ...training.run.folder import RunFolder
from ...training.session.rounds import rounds_up_to
from ..comfy_bridge.compare import LoadLora
from ..comfy_bridge.model.identity import tensors_key
from .compare_inputs import MAX_LORAS


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """One of the compared LoRAs; the base model if `load` is None."""

    label: str
    load: LoadLora | None
    key: str
    """Changes with its tensors."""
    step: int | None = None
    """Step of the run."""


def candidates(values: Mapping[str, Any]) -> list[Candidate]:
    """The base model, the steps of the run, the connected LoRAs.

    Raises:
        ValueError: There is nothing to compare.
    """
    found = [Candidate(label=NO_LORA, load=None, key="")] if values["include_base"] else []
    run: RunFolder | None = values.get("run")
    if run is not None:
        found += _rounds(run) if values.get("is_by_round") else _steps(run, values)
    for number in range(1, MAX_LORAS + 1):
        lora = values.get(f"lora_{number}")
        if lora is not None:
            label = getattr(lora, "name", "") or f"LoRA {number}"
            found.append(Candidate(label=label, load=lambda lora=lora: lora, key=tensors_key(lora)))
    if all(lora.load is None for lora in found):
        raise ValueError("nothing to compare: connect a run from Train LoRA, or a LoRA to lora_1")
    return found


def _steps(run: RunFolder, values: Mapping[str, Any]) -> list[Candidate]:
    saved = run.step_loras()
    chosen = choose_steps(list(saved), values["steps"], values["num_steps"])
    return [_of_file(f"step {step}", run.run_id, saved[step], step) for step in chosen]


def _rounds(run: RunFolder) -> list[Candidate]:
    rounds = rounds_up_to(run.root.parent, run.name)
    if not rounds:
        raise ValueError(
            f"is_by_round is on, but {run.name!r} is not the name of a round, such as {run.name}_round_1; take the "
            "name of Train LoRA from Few-Image Round, or turn it off"
        )
    return [_of_file(f"round {one.number}", one.name, one.lora) for one in rounds]


def _of_file(label: str, home: str, path: Path, step: int | None = None) -> Candidate:
    state = path.stat()
    key = f"{home} {state.st_size} {state.st_mtime_ns}"
    return Candidate(label=label, load=lambda: _read(path), key=key, step=step)


def _read(path: Path) -> LoraTensors:
    file = load_lora(path)
    return LoraTensors(file.tensors, file.metadata)
