"""Saves a run while it trains: LoRA files for people, the exact state to go on from.

Order of writes: LoRA of the step, latest LoRA, state. The state is the point of commit; files older than it can
always be made again from it.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from ..files.lora_file import save_lora
from ..optimizers.modes import use_evaluation_weights, use_training_weights
from ..report import StepReport
from ..trainer import TrainJob, TrainState
from .folder import RunFolder
from .metrics import append_line, append_metrics
from .state import save_state

SaveDtype = Literal["float32", "float16", "bfloat16"]
STATES_KEPT = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveSettings:
    """When to save and what to keep."""

    save_every: int = 100
    """Steps between saves, at least 1; at most this many steps are lost to a power cut."""
    keep_last: int = 0
    """LoRAs of steps kept, the oldest go first; 0 keeps all."""
    save_dtype: SaveDtype = "float16"
    """Number format of the LoRA files; the state is always exact."""

    def __post_init__(self) -> None:
        if self.save_every < 1:
            raise ValueError(f"save_every must be at least 1 step, got {self.save_every}")
        if self.keep_last < 0:
            raise ValueError(f"keep_last must be 0 (keep all) or more, got {self.keep_last}")

    @property
    def dtype(self) -> torch.dtype:
        return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[self.save_dtype]


@contextmanager
def final_weights(job: TrainJob, state: TrainState) -> Iterator[None]:
    """Inside, the network holds the weights a user gets: EMA where kept, evaluation weights of schedule-free."""
    if state.optimizer is not None:
        use_evaluation_weights(state.optimizer)
    try:
        if state.ema is None:
            yield
        else:
            with state.ema.applied(job.network.named_parameters()):
                yield
    finally:
        if state.optimizer is not None:
            use_training_weights(state.optimizer)


def final_tensors(job: TrainJob, state: TrainState, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The LoRA as a file holds it."""
    with final_weights(job, state):
        return job.network.state_dict(dtype)


class Saver:
    """Callback that keeps a run on disk."""

    def __init__(
        self,
        folder: RunFolder,
        settings: SaveSettings,
        metadata: Callable[[TrainState, int], dict[str, str]],
        is_latest_outdated: bool = False,
    ) -> None:
        self.folder = folder
        self.settings = settings
        self._metadata = metadata
        self._is_latest_outdated = is_latest_outdated
        self._epoch = 0
        self.saved_step = -1
        self.is_save_wanted = False
        """Set from outside to save after the next step."""

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        self.folder.private.mkdir(parents=True, exist_ok=True)
        self.saved_step = state.step
        if state.step and (self._is_latest_outdated or not self.folder.latest_lora.exists()):
            self.save(job, state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        append_metrics(self.folder.metrics, report)
        self._epoch = report.epoch
        if self._is_due(job, state) or self.is_save_wanted:
            self.save(job, state)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        if state.is_consistent and state.step != self.saved_step:
            self.save(job, state)

    def save(self, job: TrainJob, state: TrainState) -> None:
        """Writes LoRA and state of the current step, then drops what the rules no longer keep."""
        self.is_save_wanted = False
        tensors = final_tensors(job, state, self.settings.dtype)
        metadata = self._metadata(state, self._epoch)
        for path in (self.folder.step_lora(state.step), self.folder.latest_lora):
            save_lora(path, tensors, metadata)
        save_state(self.folder.state(state.step), job, state)
        self.saved_step = state.step
        self._prune()

    def note(self, line: dict[str, object]) -> None:
        """Adds a line to the metrics that is no step; it must carry `step`."""
        append_line(self.folder.metrics, line)

    def _is_due(self, job: TrainJob, state: TrainState) -> bool:
        ends, total = set[int](), 0
        for plan in job.stages:
            total += plan.steps
            ends.add(total)
        return state.step % self.settings.save_every == 0 or state.step in ends

    def _prune(self) -> None:
        outdated: list[Path] = self.folder.states()[:-STATES_KEPT]
        if self.settings.keep_last:
            outdated += list(self.folder.step_loras().values())[: -self.settings.keep_last]
        for path in outdated:
            path.unlink(missing_ok=True)
