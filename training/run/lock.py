"""Only one process trains a run at a time. The operating system releases the lock of a process that dies."""

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout


@contextmanager
def locked(root: Path) -> Generator[None]:
    """Context in which no other process or thread trains under this name.

    Raises:
        RuntimeError: Another one does.
    """
    folder = root / ".run"
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", timeout=0)
    try:
        lock.acquire()  # pyright: ignore[reportUnknownMemberType]
    except Timeout:
        raise RuntimeError(
            f"run {root.name!r} is being trained by another ComfyUI or prompt right now. Wait for it to end, or give "
            "this run another name."
        ) from None
    try:
        yield
    finally:
        lock.release()
