"""Names of runs: what may be one on every system, which two are the same, the folder that has one."""

import errno
import os
import re
import unicodedata
from pathlib import Path
from re import compile as regex

from ..files.words import shown_name

_FORBIDDEN = regex(r'[<>:"|?*\x00-\x1f\x7f\ud800-\udfff\\/]')
_RESERVED = regex(r"^(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])( *\..*)?$", re.IGNORECASE)
MAX_NAME_LENGTH, MAX_FOLDER_LENGTH = 100, 255


def check_name(name: str, what: str = "name", longest: int = MAX_NAME_LENGTH) -> str:
    """Return the name if it is valid as a folder and a file name on every system.

    Raises ValueError otherwise, naming `what` and the character or word at fault.
    """
    found = _FORBIDDEN.search(name)
    if found:
        shown = shown_name(name)
        raise ValueError(f"{what} must not contain {found.group()!r}, got {shown}; use letters, digits, space, - and _")
    if not name.strip() or name != name.strip() or name.startswith(".") or name.endswith("."):
        raise ValueError(f"{what} must not be empty or begin or end with a dot or space, got {name!r}")
    if _RESERVED.match(name) or len(name) > longest:
        raise ValueError(
            f"{what} {name[:40]!r} cannot be a file name on Windows (reserved word or over {longest} characters)"
        )
    return name


def check_new_folders(path: Path, root: Path, what: str) -> Path:
    """Return the path if what has to be created on it below `root` has names that are valid on every system.

    Raises:
        ValueError: A name is not; a system would refuse it, or create another one than was asked for.
    """
    for folder in (path, *path.parents):
        if folder == root or _is_there(folder):
            break
        check_name(folder.name, what, MAX_FOLDER_LENGTH)
    return path


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # such as a name that is too long for the disk
        return False


def is_too_long(error: OSError) -> bool:
    """True for the errors that mean a name or path is too long; Windows reports "not found"."""
    is_windows = getattr(error, "winerror", None) in (3, 206) or (os.name == "nt" and error.errno == errno.ENOENT)
    return is_windows or error.errno == errno.ENAMETOOLONG


def is_same_name(a: str, b: str) -> bool:
    """True for names that are the same on some system: Windows and macOS ignore case, macOS decomposes letters."""
    return unicodedata.normalize("NFC", a).casefold() == unicodedata.normalize("NFC", b).casefold()


def name_folder(loras: Path, name: str) -> Path:
    """`<loras>/<name>`, or the existing folder whose name differs only in Unicode form."""
    folder = loras / name
    if name.isascii() or folder.exists() or not loras.is_dir():
        return folder
    form = unicodedata.normalize("NFC", name)
    same = (path for path in loras.iterdir() if unicodedata.normalize("NFC", path.name) == form)
    return next(same, loras / form)
