"""The messages of a run on the node: where it starts, what was found under its name, how it ended."""

from collections.abc import Sequence

from ..loop.job import TrainState
from ..loop.rate_changes import described
from ..run.disk import disk_note
from ..run.found import FoundRun
from .request import Session


def opening_text(session: Session) -> str:
    """What the run will do, and its disk usage; shown before anything slow starts."""
    found = session.found
    if found.is_finished:
        return opening_message(found)
    note = disk_note(session.job, session.request.saving, session.request.root, found.step)
    return "; ".join([opening_message(found), *session.notes, note])


def opening_message(found: FoundRun) -> str:
    """What the run will do."""
    return "; ".join([_what_is_done(found), *_origins(found), *found.notes])


def _what_is_done(found: FoundRun) -> str:
    step, total = found.step, found.total_steps
    if found.is_kept_step:
        longest = max(found.folder.step_loras())
        return f"already trained: step {step} of a run of {longest} steps was kept (its files stay as they are)"
    if found.stays:
        return f"stopped at step {step} of {total} and kept (after_stop 'go on' trains the rest)"
    if found.is_finished:
        return f"already trained: {step} steps, nothing to do"
    if not step:
        parent = found.record.parent
        return f"new run of {total} steps" + (
            f" from the weights of run {parent} (the dataset changed)" if parent else ""
        )
    added = (
        f"; the first {found.kept_steps} are kept as they are and the {total - found.kept_steps} added have a "
        "schedule of their own (on_more_steps 'stretch' trains all again under one schedule)"
    )
    return f"continued from step {step} of {total}{added if found.kept_steps else ''}"


def _origins(found: FoundRun) -> list[str]:
    damaged, taken, branch = found.damaged_step, found.taken_from, found.branched_from
    told = {
        f"the state of step {damaged} on the disk is damaged": damaged,
        f"copied from {taken!r}, where it was trained": taken,
        f"its first {found.step} steps are those of run {branch}, which is kept": branch,
    }
    return [text for text, is_so in told.items() if is_so]


def closing_message(found: FoundRun, state: TrainState, told: Sequence[str] = ()) -> str:
    """What the run did; `told` is what saving it moved."""
    rates = described(state.rate_changes)
    ended = (
        f"stopped at step {state.step} and kept. Queueing again trains the rest; with after_stop 'stay' it stays as "
        "it is"
        if not found.is_finished and state.step < found.total_steps
        else ""
    )
    return "; ".join(filter(None, [opening_message(found), rates, ended, *told]))
