"""Stops: the steps at which a user ended a run early and kept it."""

import logging
from pathlib import Path

from ..files.atomic import patiently
from .folder import STOPS_FILE, RunFolder, read_note


def note_stop(folder: RunFolder, step: int) -> None:
    """Record that a user ended the run early and kept it, so that a host does not cache its result as final.

    Each stop counts, even a second one at the same step: the node runs again then. One that cannot be noted ends
    nothing: what was trained is saved.
    """
    path = folder.private / STOPS_FILE
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with patiently(lambda: path.open("a", encoding="utf-8")) as file:
            file.write(f"{step}\n")
    except OSError as error:
        logging.warning("LoRA Bakery: %s cannot be written now: %s", path, error.strerror or error)


def is_stopped_at(folder: RunFolder, step: int) -> bool:
    """Whether a user ended the run at this step and kept it."""
    return str(step) in read_note(folder.private / STOPS_FILE).split()


def stops_state(root: Path) -> str:
    """Changes whenever a run of the name is stopped early."""
    found = ((path.parent.name, read_note(path)) for path in root.glob(f".run/*/{STOPS_FILE}"))
    return repr(sorted(found))
