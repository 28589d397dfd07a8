"""A file of JSON lines that grows while a run trains, however long another program has it open.

A spreadsheet on Windows lets nobody else write to what it shows, and a disk may be full for a while. Lines wait in
memory then, and at each save in a file beside, `<name>.waiting`, so that a process that dies loses none.
"""

import errno
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from ..files.atomic import ATTEMPTS, patiently, write_text_atomic
from ..files.json_files import read_json
from .folder import Unreadable, waiting_file


class LineFile:
    """Appends lines, each a JSON object with `step`; one process at a time has one for a file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._waiting = [_text(line) for line in _unwritten(path)]
        self.trouble = ""
        """Why lines wait, a sentence; empty if none do."""

    def append(self, line: dict[str, Any]) -> None:
        """Append a line now, or at a later call if the file cannot be written."""
        self._waiting.append(_text(line))
        self._write()

    def _write(self) -> None:
        # Who holds a file for seconds holds it for minutes: later steps do not wait for it.
        attempts = 1 if self.trouble else ATTEMPTS
        try:
            patiently(lambda: _append(self._path, "".join(self._waiting).encode()), attempts)
        except OSError as error:
            self._explain(error)
            return
        if self.trouble:
            logging.info("LoRA Bakery: %s is written again", self._path)
        self._waiting, self.trouble = [], ""
        _forget(self._path)

    def keep(self) -> None:
        """Put every line on the disk, those that wait into the file beside.

        Raises:
            OSError: The disk is full or the folder read-only.
        """
        if self._waiting:
            self._write()
        if self._waiting:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            write_text_atomic(waiting_file(self._path), "".join(self._waiting))
        elif self._path.is_file():
            _sync(self._path)

    def _explain(self, error: OSError) -> None:
        if not self.trouble:
            logging.warning("LoRA Bakery: %s cannot be written now: %s", self._path, error.strerror or error)
        self.trouble = (
            f"{self._path.name} of the run cannot be written now ({error.strerror or error}); its lines wait and are "
            "added as soon as it can be. Is it open in another program?"
        )


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Lines in order, with those that wait, without any that a crash cut off.

    Raises:
        Unreadable: The file exists but the system refuses to read it now.
    """
    yield from _lines_of(path)
    yield from _unwritten(path)


def cut_lines(path: Path, step: int) -> None:
    """Remove every line after `step`, and broken ones; writes nothing if there are none.

    Raises:
        OSError: The file cannot be written now.
        Unreadable: It cannot be read now.
    """
    for file in (path, waiting_file(path)):
        text = "".join(_text(line) for line in _lines_of(file) if line["step"] <= step)
        if file.is_file() and file.read_bytes() != text.encode():
            write_text_atomic(file, text)


def _append(path: Path, content: bytes) -> None:
    """All of the content, or none of it."""
    path.parent.mkdir(parents=True, exist_ok=True)  # people may have moved the folder meanwhile
    with path.open("ab", buffering=0) as file:
        end = file.seek(0, os.SEEK_END)
        try:
            if file.write(content) < len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        except OSError:
            file.truncate(end)
            raise


def _unwritten(path: Path) -> Iterator[dict[str, Any]]:
    """Lines that wait, without those that were added before their process died."""
    waiting = waiting_file(path)
    if waiting.is_file():
        written = {_text(line) for line in _lines_of(path)}
        yield from (line for line in _lines_of(waiting) if _text(line) not in written)


def _lines_of(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file():
        return
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            for text in file:
                if line := _line(text):
                    yield line
    except FileNotFoundError:
        return
    except OSError as error:
        raise Unreadable(path, error) from error


def _line(text: str) -> dict[str, Any]:
    """Empty for what a crash or a hand has left there."""
    try:
        line: Any = read_json(text)
    except ValueError:
        return {}
    is_line = isinstance(line, dict) and type(cast(dict[str, Any], line).get("step")) is int
    return cast(dict[str, Any], line) if is_line else {}


def _forget(path: Path) -> None:
    try:
        waiting_file(path).unlink(missing_ok=True)
    except OSError as error:  # its lines are known as added
        logging.info("LoRA Bakery: %s cannot be deleted now: %s", waiting_file(path), error.strerror or error)


def _sync(path: Path) -> None:
    try:
        with path.open("rb+") as file:
            os.fsync(file.fileno())
    except (FileNotFoundError, PermissionError) as error:  # the system has the lines, which waits for no flush
        logging.info("LoRA Bakery: %s cannot be flushed now: %s", path, error.strerror or error)


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"
