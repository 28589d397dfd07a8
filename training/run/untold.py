"""Sentences about a name that nobody was told yet, kept until a queue of the name ends with them.

What a save moves is shown while the run trains; where that is canceled, the next queue says it, whatever it trains.
"""

from collections.abc import Sequence
from pathlib import Path

from ..files.atomic import write_text_atomic
from .folder import read_note

UNTOLD_FILE = "untold"


def untold(root: Path) -> tuple[str, ...]:
    """What is still to be told, a sentence each."""
    return tuple(read_note(_file(root)).splitlines())


def add_untold(root: Path, sentences: Sequence[str]) -> tuple[str, ...]:
    """Keeps sentences until they are told; returns all that are kept."""
    kept = tuple(dict.fromkeys([*untold(root), *sentences]))
    if sentences:
        write_text_atomic(_file(root), "\n".join(kept))
    return kept


def forget_told(root: Path) -> None:
    """They were told."""
    _file(root).unlink(missing_ok=True)


def _file(root: Path) -> Path:
    return root / ".run" / UNTOLD_FILE
