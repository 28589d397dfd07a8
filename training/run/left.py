"""LoRAs of a run that lie in the top folder still, since another program had them open when they were to move.

They were copied into the run's own folder, where their names are noted until they can be removed.
"""

import filecmp
from pathlib import Path

from ..files.atomic import write_text_atomic
from .folder import read_note

LEFT_FILE = "left"


def names_left(home: Path) -> list[str]:
    """Names that a run left in the top folder; `home` is its own folder."""
    return read_note(home / LEFT_FILE).splitlines()


def note_left(home: Path, names: list[str]) -> None:
    """Notes them in place of those before."""
    if names:
        write_text_atomic(home / LEFT_FILE, "\n".join(names))
    else:
        (home / LEFT_FILE).unlink(missing_ok=True)


def remove_left(root: Path, owner: str | None) -> set[str]:
    """Removes what runs left there, but nothing that is the owner's; gives back the names that are there still."""
    homes = [note.parent for note in (root / ".run").glob(f"*/{LEFT_FILE}") if note.parent.name != owner]
    return {name for home in homes for name in _remove(root, home)}


def _remove(root: Path, home: Path) -> list[str]:
    still: list[str] = []
    for name in names_left(home):
        here, kept = root / name, home / name
        if here.is_file() and kept.is_file() and filecmp.cmp(here, kept, shallow=False):
            try:
                here.unlink()
            except OSError:
                still.append(name)
    note_left(home, still)
    return still
