"""What a search for a run on disk is told, and what it gives back."""

from dataclasses import dataclass, replace
from typing import Literal

from .folder import RunFolder
from .identity import OnMoreSteps
from .record import RunRecord
from .state import SavedState

OnDatasetChange = Literal["start over", "continue"]
AfterStop = Literal["go on", "stay"]
"""A run that was stopped and kept, when it is wanted again: trained to its end, or left as it is."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FindSettings:
    """What to do where a run on disk is nearly the wanted one."""

    on_dataset_change: OnDatasetChange = "start over"
    on_more_steps: OnMoreSteps = "add"
    after_stop: AfterStop = "go on"


@dataclass(frozen=True, kw_only=True, slots=True)
class FoundRun:
    """Where to train and from what."""

    folder: RunFolder
    record: RunRecord
    step: int = 0
    """Steps trained."""
    saved: SavedState | None = None
    """State to go on from; None for a run that begins."""
    start: SavedState | None = None
    """State whose weights alone are taken, with a fresh optimizer; None for none."""
    stays: bool = False
    """True where a user stopped it at this step and wants it left so."""
    damaged_step: int = 0
    """Step of a later state that is on the disk but cannot be read; 0 where there is none."""
    taken_from: str = ""
    """Name it was trained under until now; empty where that is its own."""
    steered: str = ""
    """Name of a run like this new one whose rate was changed by hand, which is why it is not copied; empty: none."""
    is_kept_step: bool = False
    """True for a kept step of a run that was trained further; nothing of that run is changed."""
    branched_from: str = ""
    """Id of the run of this name that the steps so far were copied from; empty for none."""
    notes: tuple[str, ...] = ()
    """What was found out of order under the name and put right, a sentence each."""

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
        """Steps under a schedule that had ended before the last ones were added; 0 where none were."""
        if len(self.record.segments) < 2:
            return 0
        before, last = self.record.segments[-2:]
        return self.total_steps - last.steps if before.stage == last.stage else 0

    def without_weights(self) -> "FoundRun":
        """The same once its weights are loaded; while it trains they need not be in memory twice."""
        return replace(self, saved=None, start=None)
