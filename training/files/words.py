"""Names and texts from outside, and errors of the disk, as messages show them."""

import errno
from pathlib import Path

MAX_SHOWN = 60
_NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def is_absolute(name: str) -> bool:
    """True for a path from a root, a home folder or a drive, on any system."""
    start = name.lstrip()
    return start.startswith(("/", "\\", "~")) or start[1:3] in (":/", ":\\")


def shown_name(name: str) -> str:
    """A name or text for a message: quoted and short, and never a path on someone's machine."""
    if is_absolute(name):
        return "an absolute path"
    return repr(name) if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]!r}... ({len(name)} characters)"


def is_unicode(text: str) -> bool:
    """False if it contains half of a surrogate pair, as JSON may: no file, name or model accepts it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def remedy(error: OSError, folder: Path) -> str:
    """What to do about an error while writing below a folder, a sentence without its end."""
    if error.errno in _NO_ROOM:
        return f"Free space on the disk of {folder}"
    if error.errno == errno.EROFS:
        return f"Make the disk of {folder} writable"
    if not isinstance(error, PermissionError):
        return f"See that the disk of {folder} is connected and has space"
    path = Path(error.filename2 or error.filename or folder)
    # A file that is there may be open, which Windows reports so; else it is the folder that takes none.
    if path.is_file():
        return f"Close the program that has {path} open, or allow ComfyUI to write it"
    return f"Allow ComfyUI to write in {folder}"
