"""Which run owns the LoRAs under a name, and how they change owner. `docs/reliability.md` has a table of all cases.

A file that people can see is added, replaced by a newer step of its own run, or set aside and named; nothing else.

A file that another program has open cannot always be moved on Windows. It is copied then, and what stays behind is
noted in the run's own folder and removed when it can be. What can be neither moved nor copied ends the save, which
would overwrite it.
"""

import filecmp
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError

from ..files.atomic import sync_folder, write_text_atomic
from ..files.lora_file import load_metadata
from .aside import STEPS_KEY, free_name, move_file
from .folder import RunFolder, current_run, lora_files, run_ids, split_name, step_files
from .left import names_left, note_left, remove_left
from .untold import add_untold

RUN_KEY = "ss_session_id"
"""Header entry of a LoRA with the id of the run that wrote it; LoRA tools remove it."""


def run_of(path: Path, ids: list[str]) -> str | None:
    """Which of these runs wrote a visible LoRA; None for files of other origin or unreadable ones."""
    written = written_by(path, ids)
    if written != "":
        return written
    marked = current_run(path.parent)  # its header does not say: it goes by its step and its content
    steps = step_files(path.parent, path.parent.name)
    is_step = any(load_metadata(path).get(STEPS_KEY) == str(step) for step, its in steps.items() if its == path)
    is_copy = any(filecmp.cmp(path, its, shallow=False) for its in steps.values() if its != path)
    return marked if marked in ids and (is_step or is_copy) else None


def is_own(folder: RunFolder, path: Path) -> bool:
    """True if a run wrote the LoRA that lies where its own do; people may have put another one there."""
    if path.parent == folder.private:
        return written_by(path, [folder.run_id]) is not None
    return run_of(path, [folder.run_id]) is not None


def written_by(path: Path, ids: list[str]) -> str | None:
    """Id in a LoRA's header if it is one of these; empty if the header has none; None for any other file."""
    try:
        written = load_metadata(path).get(RUN_KEY, "")
    except (OSError, ValueError, SafetensorError):
        return None
    if not written:
        return ""
    # Copies by earlier versions kept the header of the run they came from, whose id theirs starts with.
    same = [run_id for run_id in ids if run_id.rpartition("-")[0] == written]
    return written if written in ids else next(iter(same), None)


def owner(root: Path) -> str | None:
    """Id of the run that owns the visible LoRAs, by the marker or, if that is damaged, by their headers."""
    marked, ids = current_run(root), run_ids(root)
    if marked in ids:
        return marked
    visible = lora_files(root, root.name)
    return next((run_id for path in reversed(visible) if (run_id := run_of(path, ids))), None)


def repair(root: Path) -> str:
    """Writes a marker that is missing or damaged again; returns a sentence about it, empty where all is well.

    One that names a run whose folder is gone is removed: a run that takes the same id did not write what lies here.
    """
    found = owner(root)
    if found is None:
        _marker(root).unlink(missing_ok=True)
    if found is None or found == current_run(root):
        return ""
    write_text_atomic(_marker(root), found)
    return f"the record of which run wrote {root.name}.safetensors was missing; by its header it was {found}"


def take_name(folder: RunFolder) -> tuple[str, ...]:
    """Gives the visible names to a run, and says what that changed. For the first save of a session.

    LoRAs of other runs move into those runs' folders; files that no run wrote get another visible name. The marker
    changes while no other run's LoRA is in the top folder, so a process that dies in between leaves no LoRA assigned to
    run; the next call finishes the move.

    Raises:
        OSError: A LoRA that the run would overwrite can be neither moved nor copied.
    """
    root = folder.root
    before = owner(root)
    strangers = remove_left(root, before)
    aside, home = _making_way(folder, strangers)
    told = add_untold(root, [*map(_aside_told, aside), *_home_told(root, home)])
    for move in (*aside, *home):
        _give_way(move)
    for changed in {root, *(move.target.parent for move in home)}:
        sync_folder(changed)  # the moves are on the disk before the marker is
    if current_run(root) != folder.run_id:
        write_text_atomic(_marker(root), folder.run_id)
    for path in lora_files(folder.private, root.name):
        if not (root / path.name).exists():  # otherwise it is newer, or another run's and removed by a later call
            move_file(path, root / path.name)
    note_left(folder.private, [])
    return told


class _Move(NamedTuple):
    path: Path
    target: Path


def _making_way(folder: RunFolder, skipped: set[str]) -> tuple[list[_Move], list[_Move]]:
    """(what no run here wrote gets another name, LoRAs of other runs move into the folders of these)."""
    root, ids, name = folder.root, run_ids(folder.root), free_name(folder.root)
    is_owner = current_run(root) == folder.run_id
    aside: list[_Move] = []
    home: list[_Move] = []
    for path in lora_files(root, root.name):
        whose = run_of(path, ids)
        if path.name in skipped or (whose == folder.run_id and is_owner):
            continue
        if whose is None or whose == folder.run_id:  # a run that begins again did not write those of its own id
            aside.append(_Move(path, root / f"{name}{split_name(path)[1]}.safetensors"))
        else:
            home.append(_Move(path, RunFolder(root, whose).private / path.name))
    return aside, home


def _give_way(move: _Move) -> None:
    home = move.target.parent
    if home == move.path.parent:
        move_file(*move)
        return
    home.mkdir(parents=True, exist_ok=True)
    if not move_file(*move):
        note_left(home, [*names_left(home), move.path.name])


def _aside_told(move: _Move) -> str:
    return f"{move.path.name} was not written by a run that is still here; it is kept as {move.target.name}"


def _home_told(root: Path, moves: list[_Move]) -> list[str]:
    """A sentence for each run whose LoRAs move."""
    told: list[str] = []
    for home in dict.fromkeys(move.target.parent for move in moves):
        moved = {move.path for move in moves if move.target.parent == home}
        steps = [step for step, path in step_files(root, root.name).items() if path in moved]
        last = max([*steps, *step_files(home, root.name)], default=0)
        told.append(
            f"the LoRA that {root.name} held before (run {home.name}, step {last}) is kept in "
            f"{root.name}/.run/{home.name}; queue its settings again to have it back"
        )
    return told


def _marker(root: Path) -> Path:
    return root / ".run" / "current"
