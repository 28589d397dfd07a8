"""Writes files so that a reader never sees an incomplete one, however the process ends."""

import errno
import os
import shutil
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

Result = TypeVar("Result")
TEMPORARY_SUFFIX = ".bakery-tmp"

_CANNOT_FLUSH = {errno.EINVAL, errno.EBADF, errno.ENOTSUP, errno.ENOSYS}
"""Answers to the flush of a folder on drives that have no such call, as over SMB."""
ATTEMPTS = 10
_WAIT_S = 0.2


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let `write` fill a temporary file in the folder of `path`, then rename it to `path` in one step.

    The data is flushed before the rename, so a crash leaves the old file or the new one. Creates missing folders.

    Raises:
        OSError: The disk is full or the folder is read-only; the old file is unchanged and the temporary one removed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_path(path)
    try:
        write(temporary)
        _sync_file(temporary)
        _replace(temporary, path)
    finally:
        _delete(temporary)
    sync_folder(path.parent)  # only then is the new name safe


def temporary_path(path: Path) -> Path:
    """Temporary path that `path` is written to before it is renamed."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}{TEMPORARY_SUFFIX}")


def write_text_atomic(path: Path, text: str) -> None:
    """Write UTF-8 text with `write_atomic`; line ends stay as they are on every system."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(text.encode())

    write_atomic(path, write)


def copy_atomic(source: Path, target: Path) -> None:
    """Copy a file to `target` with `write_atomic`."""

    def write(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    write_atomic(target, write)


def remove_leftovers(folder: Path, older_than_s: float = 3600.0) -> list[Path]:
    """Delete temporary files that a killed process left in `folder` (not below it); returns the deleted ones.

    The minimum age, in seconds, spares files that another process is writing; use 0 if a lock rules that out.
    """
    removed: list[Path] = []
    for leftover in sorted(folder.glob(f".*{TEMPORARY_SUFFIX}")):
        try:
            is_old = time.time() - leftover.stat().st_mtime >= older_than_s
        except OSError:
            continue
        if is_old and _delete(leftover):
            removed.append(leftover)
    return removed


def _delete(temporary: Path) -> bool:
    """False if it cannot be deleted now: on Windows a virus scanner may hold it; it is deleted later as a leftover."""
    try:
        temporary.unlink(missing_ok=True)
    except OSError:
        return False
    return True


def is_windows() -> bool:
    """Whether files in use cannot be replaced and folders cannot be flushed."""
    return os.name == "nt"


def _sync_file(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _replace(source: Path, target: Path) -> None:
    patiently(lambda: source.replace(target))


def patiently(use: Callable[[], Result], attempts: int = ATTEMPTS) -> Result:
    """Use a file; on Windows, which refuses while another program has it open (a virus scanner), again for two seconds.

    `attempts` are fewer where it was refused for longer before.

    Raises:
        PermissionError: It is refused still.
    """
    for _ in range(attempts - 1):
        try:
            return use()
        except PermissionError:
            if not is_windows():
                raise
            time.sleep(_WAIT_S)
    return use()


def sync_folder(folder: Path) -> None:
    """Flush the names in a folder to the disk, where the system and the drive can; Windows and some drives cannot.

    Raises:
        OSError: The disk failed.
    """
    if is_windows():
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_FLUSH:
            raise
    finally:
        os.close(descriptor)
