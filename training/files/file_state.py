"""Whether a file is still the one that was written or read."""

from pathlib import Path


def file_state(path: str | Path) -> str:
    """Changes whenever a file changes or is replaced: inode, modification time and size. Empty if it is missing."""
    try:
        stat = Path(path).stat()
    except OSError:
        return ""
    return f"{stat.st_ino}:{stat.st_mtime_ns}:{stat.st_size}"
