"""Which run owns the LoRAs under a name, and how they change owner. `docs/reliability.md` has a table of all cases.

A visible file is added, replaced by a newer step of its own run, or moved aside and reported; nothing else happens to
it. Windows cannot always move a file that another program has open. Such a file is copied; the original is noted in the
run's own folder and removed later.
"""

import filecmp
import logging
from pathlib import Path

from safetensors import SafetensorError

from ..files.atomic import copy_atomic, sync_folder, write_text_atomic
from ..files.lora_file import load_metadata
from .folder import RunFolder, current_run, is_same_name, lora_files, run_ids, split_name, step_files

LEFT_FILE = "left"
RUN_KEY = "ss_session_id"
"""Header entry of a LoRA with the id of the run that wrote it; LoRA tools remove it."""


def run_of(path: Path, ids: list[str]) -> str | None:
    """Which of these runs wrote a visible LoRA; None for files of other origin or unreadable ones."""
    written = _written_by(path, ids)
    if written != "":
        return written
    marked = current_run(path.parent)  # without an id in the header, name and content decide
    steps = step_files(path.parent, path.parent.name).values()
    is_theirs = path in steps or any(filecmp.cmp(path, step, shallow=False) for step in steps)
    return marked if marked in ids and is_theirs else None


def _written_by(path: Path, ids: list[str]) -> str | None:
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
    """Write a missing or damaged marker again; returns a sentence about it, empty if nothing was wrong."""
    found = owner(root)
    if found is None or found == current_run(root):
        return ""
    write_text_atomic(_marker(root), found)
    return f"the record of which run wrote {root.name}.safetensors was missing; by its header it was {found}"


def adopt_files(root: Path) -> str:
    """Rename LoRAs after their folder, if a user renamed or copied it; returns a sentence."""
    ids, before = run_ids(root), set[str]()
    for folder in (root, *(RunFolder(root, run_id).private for run_id in ids)):
        for path in sorted(folder.glob("*.safetensors")):
            name, step = split_name(path)
            if is_same_name(name, root.name) or _written_by(path, ids) is None:
                continue
            target = folder / f"{root.name}{step}.safetensors"
            if not target.exists() and _move(path, target):
                before.add(name)
    if not before:
        return ""
    return f"files named after {', '.join(sorted(before))} were renamed after their folder, {root.name}"


def take_name(folder: RunFolder) -> list[str]:
    """Give the visible names to a run and report what changed. Called by the first save of a session.

    LoRAs of other runs move into those runs' folders; files that no run wrote get another visible name. The marker
    changes while no other run's LoRA is in the top folder, so a process that dies in between leaves no LoRA assigned to
    the wrong run; the next call completes the move. A file that cannot be moved does not end the run.
    """
    root = folder.root
    before = owner(root)
    strangers = {name for note in _notes(root, before) for name in _remove_left(root, note.parent)}
    told = _set_aside(root, folder.run_id, strangers)
    told += _send_home(root, folder.run_id, strangers)
    if current_run(root) != folder.run_id:
        write_text_atomic(_marker(root), folder.run_id)
    for path in lora_files(folder.private, root.name):
        if not (root / path.name).exists():  # otherwise it is newer, or another run's and removed by a later call
            _move(path, root / path.name)
    _note_left(folder.private, [])
    return told


def _set_aside(root: Path, run_id: str, skipped: set[str]) -> list[str]:
    """Rename visible LoRAs that no run here wrote; a restarted run did not write those with its own id."""
    ids = [known for known in run_ids(root) if known != run_id or current_run(root) == run_id]
    foreign = [p for p in lora_files(root, root.name) if p.name not in skipped and run_of(p, ids) is None]
    if not foreign:
        return []
    number = next(n for n in range(1, 10_000) if not any(root.glob(f"{_aside(root.name, n)}*")))
    told: list[str] = []
    for path in foreign:
        target = root / path.name.replace(root.name, _aside(root.name, number), 1)
        if _move(path, target):
            told.append(f"{path.name} was not written by a run that is still here; it is kept as {target.name}")
    sync_folder(root)
    return told


def _aside(name: str, number: int) -> str:
    return f"{name}-earlier-{number}"


def _send_home(root: Path, run_id: str, skipped: set[str]) -> list[str]:
    """Move the visible LoRAs of other runs into their own folders."""
    ids = run_ids(root)
    moved: dict[str, list[Path]] = {}
    for path in lora_files(root, root.name):
        whose = run_of(path, ids)
        if path.name in skipped or whose in (None, run_id):
            continue
        home = RunFolder(root, whose).private
        home.mkdir(parents=True, exist_ok=True)
        if not _move(path, home / path.name):
            _note_left(home, [*_left(home), path.name])
        moved.setdefault(whose, []).append(path)
    for whose in moved:
        sync_folder(RunFolder(root, whose).private)
    sync_folder(root)  # the moves must be on the disk before the marker
    return [_sent(root, whose, paths) for whose, paths in moved.items()]


def _sent(root: Path, run_id: str, paths: list[Path]) -> str:
    last = max(step_files(RunFolder(root, run_id).private, root.name), default=0)
    return (
        f"the LoRA that {root.name} held before (run {run_id}, step {last}) is kept in {root.name}/.run/{run_id}; "
        "queue its settings again to have it back"
    )


def _marker(root: Path) -> Path:
    return root / ".run" / "current"


def _notes(root: Path, before: str | None) -> list[Path]:
    return [note for note in (root / ".run").glob(f"*/{LEFT_FILE}") if note.parent.name != before]


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
    """Replace `target` by a copy in one step; log a warning if that is impossible."""
    try:
        copy_atomic(path, target)
    except OSError as error:
        logging.warning("LoRA Bakery: %s cannot be copied to %s: %s", path, target, error.strerror or error)


def _remove_left(root: Path, home: Path) -> list[str]:
    """Remove from the top folder what a run left there, except the current run's; returns the names that remain."""
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
