"""Finds the run on disk that a wanted one continues, or begins a new one."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ..files.atomic import remove_leftovers
from .current import make_current
from .folder import RunFolder, is_stopped_at, run_ids
from .identity import OnMoreSteps, RunKey, continue_segments
from .lock import locked
from .record import RunRecord, load_record, save_record
from .state import SavedState, load_state
from .take_over import copy_run, same_elsewhere

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


def find_run(root: Path, key: RunKey, settings: FindSettings, description: dict[str, Any]) -> FoundRun:
    """The furthest run of this identity, its plan extended as wanted; else one of another name, copied; else a new one.

    Where a run of this name with other data is to be gone on from, that comes before one of another name.

    The caller holds the lock, so what half-written files there are come from a process that died.
    """
    found = [run for run_id in run_ids(root) if (run := _continued(RunFolder(root, run_id), key, settings))]
    is_going_on = settings.on_dataset_change == "continue"
    run = (
        max(found, key=lambda run: (run.step, is_going_on and run.record.parent is not None))
        if found
        else _begun(root, key, settings, description)
    )
    save_record(run.folder.record, replace(run.record, description=description))
    make_current(root, run.folder.run_id)
    for folder in (root, root / ".run", *(path for path in (root / ".run").rglob("*") if path.is_dir())):
        remove_leftovers(folder, older_than_s=0.0)
    return run


def newest_state(folder: RunFolder) -> SavedState | None:
    """The newest state of a run that can be read whole."""
    for path in reversed(folder.states().values()):
        saved = load_state(path)
        if saved is not None:
            return saved
    return None


def _continued(folder: RunFolder, key: RunKey, settings: FindSettings) -> FoundRun | None:
    record = load_record(folder.record)
    if record is None or not record.is_of(key) or (record.parent and settings.on_dataset_change == "start over"):
        return None
    last = max(folder.states(), default=0)
    if continue_segments(record.segments, last, key.stages, settings.on_more_steps) is None:
        return None  # told by names alone: reading the states of every run would cost seconds
    saved = newest_state(folder)
    step = saved.step if saved else 0
    segments = continue_segments(record.segments, step, key.stages, settings.on_more_steps)
    assert segments is not None, "fewer steps fit where more did"
    start = _parent_state(folder.root, record.parent) if saved is None and record.parent else None
    if saved is None and record.parent and start is None:
        return None  # the weights it began from are gone: trained from others, it would be another run
    record = replace(record, dataset=key.dataset, segments=tuple(segments))
    stays = settings.after_stop == "stay" and step > 0 and is_stopped_at(folder, step)
    return FoundRun(
        folder=folder, record=record, step=step, saved=saved, start=start, stays=stays,
        damaged_step=last if step < last else 0,
    )  # fmt: skip


def _begun(root: Path, key: RunKey, settings: FindSettings, description: dict[str, Any]) -> FoundRun:
    parent = _run_with_other_data(root, key) if settings.on_dataset_change == "continue" else None
    new = _new_run(root, key, parent, description)
    if parent:
        return new
    steered = ""
    for folder, record in same_elsewhere(root, key):
        # A new name is how to train without what was changed by hand.
        if record.rate_changes:
            steered = steered or folder.name
        elif taken := _taken_over(root, folder, key, settings):
            return taken
    return replace(new, steered=steered)


def _taken_over(root: Path, source: RunFolder, key: RunKey, settings: FindSettings) -> FoundRun | None:
    """A copy of another name's run; None for one that is being trained right now, whose files come and go."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(source.root))
        except (RuntimeError, OSError) as error:
            logging.info("LoRA Bakery: nothing is copied from %r: %s", source.name, error)
            return None
        run = _continued(source, key, settings)
        if run is None or not run.step:
            return None
        copy = _free_folder(root, source.run_id)
        copy_run(source, run.step, copy)
        return replace(run, folder=copy, taken_from=source.name)


def _new_run(
    root: Path, key: RunKey, parent: tuple[str, SavedState, str] | None, description: dict[str, Any]
) -> FoundRun:
    folder = _free_folder(root, key.run_id)
    record = RunRecord(
        base=key.base,
        dataset=key.dataset,
        segments=key.stages,
        parent=parent[0] if parent else None,
        parent_fingerprint=parent[2] if parent else None,
        description=description,
    )
    return FoundRun(folder=folder, record=record, start=parent[1] if parent else None)


def _free_folder(root: Path, run_id: str) -> RunFolder:
    folder = RunFolder(root, run_id)
    number = 2
    while folder.record.exists() or folder.states():
        folder = RunFolder(root, f"{run_id}-{number}")
        number += 1
    return folder


def _run_with_other_data(root: Path, key: RunKey) -> tuple[str, SavedState, str] | None:
    for run_id in run_ids(root):
        record = load_record(RunFolder(root, run_id).record)
        if record is not None and record.has_other_data(key):
            saved = newest_state(RunFolder(root, run_id))
            if saved is not None:
                return f"{run_id}@{saved.step}", saved, record.fingerprint(saved.step)
    return None


def _parent_state(root: Path, parent: str) -> SavedState | None:
    run_id, _, step = parent.partition("@")
    return load_state(RunFolder(root, run_id).state(int(step)))
