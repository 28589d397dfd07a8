"""Windows' answers for files in use: what is open or mapped in this process can be neither replaced, moved nor deleted.

Linux tells what is open (/proc/self/fd) and mapped (/proc/self/maps); the calls of `os` ask there first. Used by
`pytest --like-windows`, which runs any tests so.
"""

import contextlib
import errno
import os
import pathlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CAN_TELL = Path("/proc/self/maps").is_file()
SHARING_VIOLATION = "The process cannot access the file because it is being used by another process"
REFUSED_THERE = ("test_disturbed", "test_people")
"""Tests whose people move or delete files while they are in use."""
_TAKES_ONE = ("unlink", "remove", "rmdir")
_TAKES_TWO = ("replace", "rename")


def in_use(path: Path) -> bool:
    """Whether a file, or any file below a folder, is open or mapped."""
    wanted = os.path.realpath(path)
    if not os.path.lexists(path) or path.is_symlink():
        return False
    return any(used == wanted or used.startswith(wanted + os.sep) for used in _used())


def _used() -> set[str]:
    found: set[str] = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # that of the listing itself
            target = descriptor.readlink()
            if target.is_file():  # handles of folders are not imitated
                found.add(str(target))
    maps = Path("/proc/self/maps").read_text().splitlines()
    return found | {line.split(maxsplit=5)[5] for line in maps if line.count("/")}


def refuse(*paths: Any) -> None:
    """Raise what Windows raises if one of the paths is in use."""
    for path in paths:
        if isinstance(path, (str, os.PathLike)) and in_use(Path(path)):
            raise PermissionError(errno.EACCES, SHARING_VIOLATION, os.fspath(path))


def like_windows(patch: pytest.MonkeyPatch) -> None:
    """Make `os` and `pathlib` answer so."""
    for name in (*_TAKES_ONE, *_TAKES_TWO):
        patch.setattr(os, name, _asking(getattr(os, name), 2 if name in _TAKES_TWO else 1))
    accessor = getattr(pathlib, "_NormalAccessor", None)  # Python 3.10 keeps the functions it found
    for name in ("unlink", "rmdir", "replace", "rename"):
        if accessor is not None:
            patch.setattr(accessor, name, staticmethod(getattr(os, name)))
    patch.setattr(shutil, "_use_fd_functions", False)  # as where folders have no descriptors


def _asking(call: Callable[..., Any], num_paths: int) -> Callable[..., Any]:
    def asked(*arguments: Any, dir_fd: int | None = None, **named: Any) -> Any:
        if dir_fd is None and not {"src_dir_fd", "dst_dir_fd"} & named.keys():
            refuse(*arguments[:num_paths])
        return call(*arguments, **({} if dir_fd is None else {"dir_fd": dir_fd}), **named)

    return asked
