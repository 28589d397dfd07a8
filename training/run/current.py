"""Whose LoRAs lie in the top folder of a name: those of one run, the current one; the others keep theirs in their own.

A file that another program has open cannot always be moved on Windows. It is copied then, and what stays behind is
noted in the run's own folder and removed when it can be.
"""

import filecmp
import logging
from pathlib import Path

from ..files.atomic import copy_atomic, sync_folder, write_text_atomic
from .folder import RunFolder, current_run, lora_files

LEFT_FILE = "left"


def make_current(root: Path, run_id: str) -> None:
    """Gives the top folder's LoRA names to a run; those of the run before, the latest too, move into its own folder.

    The marker changes while no run's LoRAs lie in the top folder, so a process that dies in between leaves no LoRA with
    the wrong run; the next call finishes the move. No file that cannot be moved ends the run.
    """
    before = current_run(root)
    notes = [note for note in (root / ".run").glob(f"*/{LEFT_FILE}") if note.parent.name != before]
    strangers = {name for note in notes for name in _remove_left(root, note.parent)}
    if before is not None and before != run_id:
        home = RunFolder(root, before).private
        home.mkdir(parents=True, exist_ok=True)
        for path in lora_files(root, root.name):
            if path.name not in strangers and not _move(path, home / path.name):
                _note_left(home, [*_left(home), path.name])
        for folder in (home, root):  # the moves are on the disk before the marker is
            sync_folder(folder)
    if before != run_id:
        write_text_atomic(root / ".run" / "current", run_id)
    home = RunFolder(root, run_id).private
    for path in lora_files(home, root.name):
        if not (root / path.name).exists():  # else it is newer, or of another run and removed by a later call
            _move(path, root / path.name)
    _note_left(home, [])


def _move(path: Path, target: Path) -> bool:
    """True if nothing is left at `path`."""
    try:
        path.replace(target)
    except OSError as error:
        logging.warning("LoRA Bakery: %s cannot be moved and is copied: %s", path, error.strerror or error)
        copy_or_warn(path, target)
        return False
    return True


def copy_or_warn(path: Path, target: Path) -> None:
    """Puts a copy in place of `target` in one step; where that cannot be done, the log says so."""
    try:
        copy_atomic(path, target)
    except OSError as error:
        logging.warning("LoRA Bakery: %s cannot be copied to %s: %s", path, target, error.strerror or error)


def _remove_left(root: Path, home: Path) -> list[str]:
    """Removes from the top folder what a run left there, but nothing that is the current run's; names still there."""
    still: list[str] = []
    for name in _left(home):
        here, kept = root / name, home / name
        if here.is_file() and kept.is_file() and filecmp.cmp(here, kept, shallow=False):
            try:
                here.unlink()
            except OSError:
                still.append(name)
    _note_left(home, still)
    return still


def _left(home: Path) -> list[str]:
    note = home / LEFT_FILE
    return note.read_text(encoding="utf-8").splitlines() if note.is_file() else []


def _note_left(home: Path, names: list[str]) -> None:
    if names:
        write_text_atomic(home / LEFT_FILE, "\n".join(names))
    else:
        (home / LEFT_FILE).unlink(missing_ok=True)
