"""Input and result of the search for a run on disk."""

from dataclasses import dataclass, replace
from typing import Literal

from .folder import RunFolder
from .identity import OnMoreSteps
from .record import RunRecord
from .state import SavedState

OnDatasetChange = Literal["start over", "continue"]
AfterStop = Literal["go on", "stay"]
"""When a stopped and kept run is queued again: train it to its end, or leave it as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FindSettings:
    """What to do when a run on disk almost matches the wanted one."""

    on_dataset_change: OnDatasetChange = "start over"
    on_more_steps: OnMoreSteps = "add"
    after_stop: AfterStop = "go on"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRun:
    """Where to train, and from what."""

    folder: RunFolder
    record: RunRecord
    step: int = 0
    """Steps trained."""
    saved: SavedState | None = None
    """State to continue from; None for a new run."""
    start: SavedState | None = None
    """State that provides start weights only, with a fresh optimizer; None for none."""
    stays: bool = False
    """True if a user stopped it at this step and wants it left so."""
    damaged_step: int = 0
    """Step of a later state on disk that cannot be read; 0 if there is none."""
    taken_from: str = ""
    """Name it was trained under before; empty if that is its own."""
    is_kept_step: bool = False
    """True for a kept step of a run that was trained further; that run is not changed."""
    is_stateless: bool = False
    """True where that kept step is the run's last, and its state was deleted or not yet written when a process died."""
    branched_from: str = ""
    """Id of the run of this name that the steps so far were copied from; empty for none."""
    notes: tuple[str, ...] = ()
    """Why a new run goes on from none that is like it; what was out of order under the name and is put right."""

    @property
    def total_steps(self) -> int:
        """Steps planned."""
        return sum(segment.steps for segment in self.record.segments)

    @property
    def is_finished(self) -> bool:
        """True if nothing is left to train."""
        return self.stays or self.step >= self.total_steps

    @property
    def kept_steps(self) -> int:
        """Steps under a schedule that had ended before the last ones were added; 0 for none."""
        if len(self.record.segments) < 2:
            return 0
        before, last = self.record.segments[-2:]
        return self.total_steps - last.steps if before.stage == last.stage else 0

    def without_weights(self) -> "FoundRun":
        """The same without weights, once these are loaded, so that they are not in memory twice."""
        return replace(self, saved=None, start=None)
