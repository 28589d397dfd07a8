"""Finds the run on disk that the wanted run continues, or starts a new one."""

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from ..files.atomic import remove_leftovers
from .folder import RunFolder, run_ids
from .found import FindSettings, FoundRun
from .identity import RunKey, continue_segments, is_prefix
from .kept_steps import kept_step, not_kept, record_of
from .lock import locked
from .name import repair
from .record import RunRecord, load_record, save_record
from .renamed import adopt_files
from .state import SavedState, load_state
from .stops import is_stopped_at
from .take_over import copy_run, same_elsewhere


def find_run(root: Path, key: RunKey, settings: FindSettings, description: dict[str, Any]) -> FoundRun:
    """Where the wanted run continues: the first of these that exists.

    1. the furthest run with this name and identity, its plan extended as wanted
    2. a kept step of such a run, if fewer steps are wanted than it has
    3. the weights of a run with other data, if `on_dataset_change` says so
    4. a copy of a kept state that a run with a longer or different plan shares with the wanted one
    5. a copy of a run with this identity under another name
    6. a new run

    The caller holds the lock, so half-written files can only come from a process that died. No visible LoRA is changed
    here; the run takes over the name when it saves (`take_name`).

    Raises:
        Unreadable: A record or state exists but the system refuses to read it now.
    """
    mended = filter(None, [adopt_files(root), repair(root)])
    run = _found(root, key, settings)
    run = replace(run, notes=(*run.notes, *mended), record=replace(run.record, description=description))
    if not run.is_kept_step:
        _note(run)
    for folder in (root, root / ".run", *(path for path in (root / ".run").rglob("*") if path.is_dir())):
        remove_leftovers(folder, older_than_s=0.0)
    return run


def known_key(root: Path, keys: Sequence[RunKey]) -> RunKey:
    """Of keys for the same weights, today's first, the first that a run of this or another name has; else today's."""
    records = [load_record(RunFolder(root, run_id).record) for run_id in run_ids(root)]
    here = (key for key in keys if any(record is not None and record.is_of(key) for record in records))
    elsewhere = (key for key in keys if same_elsewhere(root, key))
    return next(chain(here, elsewhere), keys[0])


def _found(root: Path, key: RunKey, settings: FindSettings) -> FoundRun:
    folders = [RunFolder(root, run_id) for run_id in run_ids(root)]
    runs = [run for folder in folders if (run := _continued(folder, key, settings))]
    if there := _furthest(folders, [run for run in runs if run.step], key, settings):
        return there
    begun = max(
        (run for run in runs if _may_begin_again(run.folder, key)),
        key=lambda run: bool(run.record.rate_changes),
        default=None,
    )
    if settings.on_dataset_change == "continue" and (other := _with_other_data(root, folders, key)):
        return begun if begun and begun.record.parent else other
    # Steps under a schedule of their own are for the lengthened run only: a copy has the bits of a new run.
    exactly = replace(settings, on_more_steps="stretch")
    if branch := _branched(folders, key, exactly):
        return branch
    copy, refused = _of_another_name(root, key, exactly)
    why_again = [] if begun else not_kept(folders, key, settings)
    return copy or replace(begun or _new_run(root, key), notes=(*why_again, *refused))


def _furthest(
    folders: list[RunFolder], trained: list[FoundRun], key: RunKey, settings: FindSettings
) -> FoundRun | None:
    """The run to go on with, or a kept step if that is all that is wanted."""
    kept = next((run for folder in folders if (run := kept_step(folder, key, settings))), None)
    if not trained:
        return kept
    is_going_on = settings.on_dataset_change == "continue"
    run = max(trained, key=lambda run: (run.step, is_going_on and run.record.parent is not None))
    return kept if kept and not run.is_finished and not kept.record.rate_changes else run


def _note(run: FoundRun) -> None:
    """Writes the record; one that is the same may be open elsewhere."""
    try:
        save_record(run.folder.record, run.record)
    except PermissionError:
        if load_record(run.folder.record) != run.record:
            raise


def newest_state(folder: RunFolder) -> SavedState | None:
    """The newest state of a run that can be read completely."""
    for path in reversed(folder.states().values()):
        saved = load_state(path)
        if saved is not None:
            return saved
    return None


def _continued(folder: RunFolder, key: RunKey, settings: FindSettings) -> FoundRun | None:
    record = record_of(folder, key, settings)
    if record is None:
        return None
    last = max(folder.states(), default=0)
    if continue_segments(record.segments, last, key.stages, settings.on_more_steps) is None:
        return None  # judged by file names alone: reading the states of every run would take seconds
    saved = newest_state(folder)
    step = saved.step if saved else 0
    segments = continue_segments(record.segments, step, key.stages, settings.on_more_steps)
    assert segments is not None, "fewer steps fit where more did"
    start = _parent_state(folder.root, record.parent) if saved is None and record.parent else None
    if saved is None and record.parent and start is None:
        return None  # its start weights are gone: from others, it would be a different run
    record = replace(record, dataset=key.dataset, segments=tuple(segments))
    stays = settings.after_stop == "stay" and step > 0 and is_stopped_at(folder, step)
    return FoundRun(
        folder=folder, record=record, step=step, saved=saved, start=start, stays=stays,
        damaged_step=last if step < last else 0,
    )  # fmt: skip


def _states_are_gone(folder: RunFolder) -> bool:
    """True if users deleted the states of a run; a single LoRA is of a process that died within the first save."""
    return len(folder.step_loras()) > 1 and not folder.states()


def _branched(folders: list[RunFolder], key: RunKey, settings: FindSettings) -> FoundRun | None:
    """A copy of the run that shares the most with the wanted one, from the last state they share."""
    places = [(step, folder) for folder in folders for step in folder.states()]
    for step, folder in sorted(places, key=lambda place: place[0], reverse=True):
        record = record_of(folder, key, settings)
        if record is None or record.parent:
            continue
        segments = continue_segments(record.segments, step, key.stages, settings.on_more_steps)
        saved = load_state(folder.state(step)) if segments is not None else None
        if segments is None or saved is None:
            continue
        copy = _free_folder(folder.root, key.run_id)
        copy_run(folder, step, copy)
        changes = tuple(change for change in record.rate_changes if change[0] < step)
        record = replace(record, segments=tuple(segments), rate_changes=changes)
        return FoundRun(folder=copy, record=record, step=step, saved=saved, branched_from=folder.run_id)
    return None


def _of_another_name(root: Path, key: RunKey, settings: FindSettings) -> tuple[FoundRun | None, list[str]]:
    """(copy of a run that was trained under another name, why others that are like it are not copied)."""
    refused: list[str] = []
    for folder, record in same_elsewhere(root, key):
        step = max(folder.states(), default=0)
        if not step or continue_segments(record.segments, step, key.stages, settings.on_more_steps) is None:
            continue
        taken, why = _taken_over(root, folder, key, settings)
        if taken:
            return taken, []
        refused.append(f"{_place(root, folder)!r} is not copied: {why}")
    return None, list(dict.fromkeys(refused))


def _taken_over(root: Path, source: RunFolder, key: RunKey, settings: FindSettings) -> tuple[FoundRun | None, str]:
    """(copy of another name's run, or why there is none)."""
    with ExitStack() as stack:
        try:
            stack.enter_context(locked(source.root))
        except RuntimeError:
            return None, "it is being trained right now"  # its files come and go
        except OSError as error:
            return None, f"it cannot be opened ({error.strerror or error})"
        run = _continued(source, key, settings)
        if run is None or not run.step:
            return None, "its states are damaged"
        if run.record.rate_changes:  # a new name is how to train without what was changed by hand
            return None, "its learning rate was changed by hand"
        copy = _free_folder(root, source.run_id)
        copy_run(source, run.step, copy)
        return replace(run, folder=copy, taken_from=_place(root, source)), ""


def _place(root: Path, folder: RunFolder) -> str:
    """The other run's name, with the folders it was moved into."""
    return folder.root.relative_to(root.parent).as_posix()


def _new_run(root: Path, key: RunKey) -> FoundRun:
    record = RunRecord(base=key.base, dataset=key.dataset, segments=key.stages, description={})
    return FoundRun(folder=_free_folder(root, key.run_id), record=record)


def _free_folder(root: Path, run_id: str) -> RunFolder:
    """A folder for a new run; one with the same id and nothing to lose is reused."""
    folder = RunFolder(root, run_id)
    number = 2
    while _has_something(folder):
        folder = RunFolder(root, f"{run_id}-{number}")
        number += 1
    return folder


def _may_begin_again(folder: RunFolder, key: RunKey) -> bool:
    """True for a run without states whose LoRAs, if any, the new run will write again."""
    record = load_record(folder.record)
    if record is None or not folder.loras():
        return not folder.loras()
    if _states_are_gone(folder):
        return False  # a rate changed by hand this time would give its steps other weights
    return is_prefix(key.stages, record.segments) or is_prefix(record.segments, key.stages)


def _has_something(folder: RunFolder) -> bool:
    is_damaged = folder.record.exists() and load_record(folder.record) is None
    # A single LoRA without a state: the process died in its first save, and the new run writes the same file.
    return is_damaged or bool(folder.states()) or len(folder.step_loras()) > 1


def _with_other_data(root: Path, folders: list[RunFolder], key: RunKey) -> FoundRun | None:
    """A new run from the weights of the newest run that differs only in its dataset."""
    for folder in folders:
        before = load_record(folder.record)
        if before is not None and before.has_other_data(key) and (saved := newest_state(folder)):
            run = _new_run(root, key)
            parent, digest = f"{folder.run_id}@{saved.step}", before.fingerprint(saved.step)
            return replace(run, record=replace(run.record, parent=parent, parent_fingerprint=digest), start=saved)
    return None


def _parent_state(root: Path, parent: str) -> SavedState | None:
    run_id, _, step = parent.partition("@")
    return load_state(RunFolder(root, run_id).state(int(step)))
