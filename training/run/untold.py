"""Sentences about a name that nobody was told yet, kept until a queue of the name ends with them.

What a save moves is shown while the run trains; where that is canceled, the next queue says it, whatever it trains.
"""

import logging
from collections.abc import Sequence
from pathlib import Path

from ..files.atomic import write_text_atomic
from .folder import read_note

UNTOLD_FILE = "untold"


def untold(root: Path) -> tuple[str, ...]:
    """What is still to be told, a sentence each."""
    return tuple(read_note(_file(root)).splitlines())


def add_untold(root: Path, sentences: Sequence[str]) -> tuple[str, ...]:
    """Keeps sentences until they are told; returns all that are kept.

    Where the file is open in another program, they are told by this queue alone.
    """
    try:
        kept = tuple(dict.fromkeys([*untold(root), *sentences]))
        if sentences:
            write_text_atomic(_file(root), "\n".join(kept))
    except PermissionError as error:
        logging.warning("LoRA Bakery: %s is open elsewhere: %s", _file(root), error.strerror or error)
        return tuple(sentences)
    return kept


def forget_told(root: Path) -> None:
    """They were told; where the file cannot be deleted now, the next queue tells them once more."""
    try:
        _file(root).unlink(missing_ok=True)
    except OSError as error:
        logging.info("LoRA Bakery: %s cannot be deleted now: %s", _file(root), error.strerror or error)


def _file(root: Path) -> Path:
    return root / ".run" / UNTOLD_FILE
