"""The latest LoRA of a run as the run wrote it, to notice that another program changed it since."""

import filecmp
import logging
import zlib
from pathlib import Path

from ..files.atomic import write_text_atomic
from .folder import RunFolder, read_note

LATEST_FILE = "latest"


def note_latest(folder: RunFolder) -> None:
    """Notes the latest LoRA as the run's own; where the note is open elsewhere, its steps show that it is."""
    try:
        write_text_atomic(folder.private / LATEST_FILE, _checksum(folder.latest_lora))
    except PermissionError as error:
        logging.info("LoRA Bakery: %s is open elsewhere: %s", folder.private / LATEST_FILE, error.strerror or error)


def is_edited(folder: RunFolder) -> bool:
    """True where the visible latest LoRA is neither as the run wrote it nor one of its steps.

    The notes of a process that died may be older than the file, which is a step then. One that died before its first
    note has none, nor do runs of earlier versions.
    """
    note, latest = folder.private / LATEST_FILE, folder.latest_lora
    if not latest.is_file() or is_copied(folder):
        return False
    return not note.is_file() or read_note(note) != _checksum(latest)


def is_copied(folder: RunFolder) -> bool:
    """True where the latest LoRA is one of the run's steps or lies beside under another name, byte for byte."""
    latest = folder.latest_lora
    copies = [*reversed(folder.step_loras().values()), *folder.root.glob(f"*{latest.suffix}")]
    return any(filecmp.cmp(path, latest, shallow=False) for path in copies if path != latest)


def _checksum(path: Path) -> str:
    value = 0
    with path.open("rb") as file:
        while piece := file.read(2**20):
            value = zlib.crc32(piece, value)
    return f"{value:08x}"
