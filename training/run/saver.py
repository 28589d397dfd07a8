"""Saves a run while it trains: LoRA files for the user, the exact state for resuming.

Order of writes: LoRA of the step, latest LoRA, metrics, state. The state commits a save: when the run is resumed,
everything newer than the state is written again, with the same content.

Windows refuses to replace or delete a file that a loader has open. That does not end the run: a later save or start
tries again.
"""

import filecmp
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from torch import Tensor

from ..files.atomic import copy_atomic
from ..files.lora_file import open_tensors, save_lora
from ..files.words import remedy
from ..loop.final_weights import final_tensors
from ..loop.job import Callback, TrainingDiverged, TrainJob, TrainState
from ..loop.report import StepReport
from .found import FoundRun
from .latest import note_latest
from .lines import LineFile
from .picks import shown
from .place import Place
from .retention import drop_after, prune_loras, prune_states
from .state import is_finite, save_state

SaveDtype = Literal["float32", "float16", "bfloat16"]


class SaveFailed(RuntimeError):
    """The disk is full or read-only; what was saved before is unchanged."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SaveSettings:
    """When to save and what to keep."""

    save_every: int = 100
    """Steps between saves, at least 1; a power cut loses at most this many."""
    keep_last: int = 0
    """Number of step LoRAs to keep, dropping the oldest; 0 keeps all. The best by validation loss is kept in addition.
    """
    save_dtype: SaveDtype = "float16"
    """Number format of LoRA files; the state is always exact."""

    def __post_init__(self) -> None:
        """Refuse invalid values.

        Raises:
            ValueError: With field, allowed range and value.
        """
        if self.save_every < 1:
            raise ValueError(f"save_every must be at least 1 step, got {self.save_every}")
        if self.keep_last < 0:
            raise ValueError(f"keep_last must be 0 (keep all) or more, got {self.keep_last}")

    @property
    def dtype(self) -> torch.dtype:
        """The format as torch's dtype."""
        return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[self.save_dtype]


class Saver(Callback):
    """Callback that saves a run. Comes before every callback that may end a run."""

    def __init__(
        self, found: FoundRun, settings: SaveSettings, metadata: Callable[[TrainState], dict[str, str]]
    ) -> None:
        """`metadata` makes the header of a LoRA file from the state."""
        self.folder = found.folder
        self._found = found
        self.settings = settings
        self._metadata = metadata
        self.saved_step = -1
        self.good_step: Callable[[], int] = lambda: 0
        """The latest step so far at which nothing looked wrong: from there a run that goes wrong can go on."""
        self._place = Place(found)
        self._unwritten: set[Path] = set()
        """LoRAs that another program has open."""
        self._metrics, self.base_losses = LineFile(self.folder.metrics), LineFile(self.folder.base_losses)

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Create the run's folder; rewrite LoRAs that do not match the state or the wanted format."""
        self.folder.private.mkdir(parents=True, exist_ok=True)
        self.saved_step = state.step
        if not state.step or self._is_trained_further(job, state):
            return
        with self._explained(state.step):
            self._place.take(state)
        latest = self.folder.latest_lora
        if self._found.is_kept_step:
            self._restore_latest(state.step)
            return
        is_right = _is_same(self.folder.step_lora(state.step), latest) and _dtype_of(latest) == self.settings.dtype
        if not is_right:
            self.save(job, state)
            return
        gone = prune_loras(self.folder, state.step, self.settings.keep_last, self._good_step(job, state))
        if gone:
            self._place.tell([f"keep_last {self.settings.keep_last} removed the LoRAs of steps {shown(gone)}"])

    @property
    def told(self) -> tuple[str, ...]:
        """What was moved or removed, and what cannot be written now, a sentence each."""
        waiting = (self._metrics.trouble, self.base_losses.trouble, self._place.trouble)
        is_open = "is open in another program and stays as it was; the next save or queue writes it"
        return (
            *self._place.told,
            *filter(None, waiting),
            *(f"{path.name} {is_open}" for path in sorted(self._unwritten)),
        )

    def _is_trained_further(self, job: TrainJob, state: TrainState) -> bool:
        """True if a kept step of a longer run is wanted: the longer run's files stay."""
        if self._found.is_kept_step:
            return not self._found.is_stateless
        return state.step >= job.total_steps and state.step < max(self.folder.step_loras(), default=0)

    def _restore_latest(self, step: int) -> None:
        """Of a run without a state, which is not to get one: its weights were read from the LoRA."""
        kept, latest = self.folder.step_lora(step), self.folder.latest_lora
        if not _is_same(kept, latest):
            with self._explained(step):
                copy_atomic(kept, latest)
                note_latest(self.folder)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Append the step's metrics; save if due and at the end of a stage."""
        with self._explained(state.step):
            self._place.keep(state)
        if not report.is_left_out:
            self._metrics.append(asdict(report))
        if self._is_due(job, state):
            self.save(job, state)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Save what was trained since the last save, unless it is useless."""
        if isinstance(error, TrainingDiverged):
            if error.good_step is not None:
                drop_after(self.folder, error.good_step)
        elif state.is_consistent and (state.step != self.saved_step or self._is_lost(state)):
            self.save(job, state)
        try:
            self._keep_figures()
        except OSError as failure:  # the weights are saved, or what keeps them from it is explained
            logging.warning("LoRA Bakery: the last figures of %s are lost: %s", self.folder.name, failure)

    def _keep_figures(self) -> None:
        for figures in (self._metrics, self.base_losses):
            figures.keep()

    def _write_state(self, job: TrainJob, state: TrainState) -> None:
        path = self.folder.state(state.step)
        try:
            save_state(path, job, state)
        except PermissionError:
            if state.step != self.saved_step or not path.exists():
                raise
            logging.info("LoRA Bakery: %s is open elsewhere and stays, which is the same", path)

    def _is_lost(self, state: TrainState) -> bool:
        """True if what was saved was moved or deleted since."""
        with self._explained(state.step):
            return state.step > 0 and not self._found.is_kept_step and self._place.is_gone()

    def save(self, job: TrainJob, state: TrainState) -> None:
        """Write LoRA and state of the current step, then delete what the rules no longer keep.

        Raises:
            SaveFailed: The disk is full or the folder is read-only.
            TrainingDiverged: A weight is not finite; what was saved before stays.
        """
        tensors = final_tensors(job, state, self.settings.dtype)
        if not is_finite([*tensors.values(), *(parameter for _, parameter in job.network.named_parameters())]):
            raise TrainingDiverged(
                f"training diverged: a weight is not finite after step {state.step}, which is not saved. The run "
                f"stands at step {max(self.saved_step, 0)}; lower the learning rate.",
                max(self.saved_step, 0),
            )
        metadata = self._metadata(state)
        with self._explained(state.step):
            self._place.keep(state)
            self._place.keep_rates(state)
            self._place.take(state)
            for path in (self.folder.step_lora(state.step), self.folder.latest_lora):
                self._write(path, tensors, metadata)
            note_latest(self.folder)
            self._keep_figures()
            self._write_state(job, state)
            self.saved_step = state.step
            self._prune(job, state)

    def _write(self, path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
        """A LoRA, unless another program has the file open, which stays as it was then and is told."""
        try:
            save_lora(path, tensors, metadata)
            self._unwritten.discard(path)
        except PermissionError:
            if not path.exists():  # in that case it is the folder that is read-only
                raise
            self._unwritten.add(path)
        self._place.wrote(path)

    def _prune(self, job: TrainJob, state: TrainState) -> None:
        good = self._good_step(job, state)
        prune_states(self.folder, state.step, {stage.end for stage in job.stages}, good)
        prune_loras(self.folder, state.step, self.settings.keep_last, good)

    def _good_step(self, job: TrainJob, state: TrainState) -> int:
        """0 at the end, when nothing can go wrong any more."""
        return self.good_step() if state.step < job.total_steps else 0

    def note(self, line: dict[str, object]) -> None:
        """Append a line that is not a step to the metrics; it must have `step`."""
        self._metrics.append(line)

    def keep_rates(self, state: TrainState) -> None:
        """Write changes of the learning rate into the run's record at once, as they apply from the next step on.

        Where it cannot be written now, each step tries again, and no weights are saved before it is.
        """
        self._place.change_rates(state)

    def _is_due(self, job: TrainJob, state: TrainState) -> bool:
        ends = (stage.end for stage in job.stages)
        return state.step % self.settings.save_every == 0 or state.step in ends

    @contextmanager
    def _explained(self, step: int) -> Generator[None]:
        try:
            yield
        except OSError as error:
            last = max((saved for saved in self.folder.states() if saved <= self.saved_step), default=0)
            raise SaveFailed(
                f"step {step} of {self.folder.name!r} could not be saved: {error.strerror or error}. What was saved up "
                f"to step {last} is safe. {remedy(error, self.folder.root)}, then queue again: the run continues from "
                "there."
            ) from error


def _dtype_of(path: Path) -> torch.dtype | None:
    """Number format of a LoRA's weights; None if the file cannot be read."""
    try:
        with open_tensors(path) as file:
            # not alpha, which stays in float32 if the format cannot represent it
            return max((file.get_tensor(name) for name in file.keys()), key=torch.numel).dtype  # noqa: SIM118
    except (OSError, ValueError, SafetensorError):
        return None


def _is_same(a: Path, b: Path) -> bool:
    return a.is_file() and b.is_file() and filecmp.cmp(a, b, shallow=False)
