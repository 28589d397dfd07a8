"""ComfyUI's folders, and safe names of users' folders and files below them."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath
from re import compile as regex

import folder_paths

from ....training.files.words import shown_name
from ....training.run.naming import check_new_folders

HOSTS_OWN = frozenset({"3d", "clipspace"})
"""Folders that ComfyUI creates below its input folder; sorted first, they would be every user's default."""
MAX_DEPTH = 3
_UNPRINTABLE = regex(r"[\x00-\x1f\x7f\ud800-\udfff]")
MAX_NAME_BYTES, MAX_PATH_BYTES = 255, 3000
"""Of one name, on every system in use; of all of them, which leaves a thousand to where ComfyUI lies."""


def input_folder(relative: str, *, is_exact: bool = False) -> Path:
    """A path below ComfyUI's input folder, whether it exists or not; white space around it counts only if `is_exact`.

    Raises:
        ValueError: The name leads out of the input folder.
    """
    return safe_join(Path(folder_paths.get_input_directory()), relative, "ComfyUI's input folder", is_exact=is_exact)


def new_input_folder(relative: str, *, is_exact: bool = False) -> Path:
    """The same for a folder that is written; what is not there yet must have a name that every system takes.

    Raises:
        ValueError: The name leads out of the input folder, or cannot be created as it is written on every system.
    """
    path = input_folder(relative, is_exact=is_exact)
    return check_new_folders(path, Path(folder_paths.get_input_directory()), "folder")


def output_folder(relative: str) -> Path:
    """A path below ComfyUI's output folder, whether it exists or not.

    Raises:
        ValueError: The name leads out of the output folder.
    """
    return safe_join(Path(folder_paths.get_output_directory()), relative, "ComfyUI's output folder")


def lora_folders() -> list[Path]:
    """All folders that ComfyUI searches for LoRA files."""
    return [Path(folder) for folder in folder_paths.get_folder_paths("loras")]


def safe_join(root: Path, relative: str, root_name: str, *, is_exact: bool = False) -> Path:
    """`root / relative`, if that is below `root` even after following links.

    White space around a name typed by hand does not count, unless a folder has it or `is_exact`.

    Raises:
        ValueError: The name is empty, absolute, has a drive letter, `..` or control characters, is too long for a disk,
            is no valid Unicode, or a link on its way leads out of `root`.
    """
    posix = relative.replace("\\", "/")
    name = posix if is_exact else posix.strip()
    _check_characters(name, root_name)
    parts = PurePosixPath(name).parts
    if name.startswith("/") or PureWindowsPath(name).drive:
        raise ValueError(f"the folder must be named relative to {root_name}, got an absolute path")
    if not parts or ".." in parts:
        raise ValueError(f"the folder must be named relative to {root_name}, without '..', got {shown_name(relative)}")
    path = root.joinpath(*parts)
    if name != posix and posix.isprintable() and path.with_name(PurePosixPath(posix).name).is_dir():
        path = path.with_name(PurePosixPath(posix).name)
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{relative!r} is a link that leads out of {root_name}; move or copy the folder into it")
    return path


def _check_characters(name: str, root_name: str) -> None:
    shown = shown_name(name)
    if _UNPRINTABLE.search(name):
        raise ValueError(f"the folder must be named relative to {root_name}, in printable Unicode, got {shown}")
    longest = max((len(part.encode()) for part in name.split("/")), default=0)
    if longest > MAX_NAME_BYTES or len(name.encode()) > MAX_PATH_BYTES:
        raise ValueError(f"a folder's name must have at most {MAX_NAME_BYTES} bytes, got {longest} in {shown}")


def find_input_folder(written: str) -> str | None:
    """The folder below ComfyUI's input folder that matches another machine's path, as a name relative to it.

    The longest ending of the path that exists, else the only folder with its last name. None = no match.

    Raises:
        ValueError: Several folders have that name.
    """
    parts = [part for part in written.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    endings = ["/".join(parts[start:]) for start in range(len(parts)) if not parts[start].endswith(":")]
    for ending in endings:
        if input_folder(ending).is_dir():
            return ending
    same = [name for name in input_subfolders() if parts and name.rpartition("/")[2] == parts[-1]]
    if len(same) > 1:
        raise ValueError(
            f"{written!r} may mean several folders of ComfyUI's input folder ({', '.join(same)}); write its name below "
            "the input folder instead"
        )
    return same[0] if same else None


def input_name(path: Path) -> str:
    """A folder's name relative to ComfyUI's input folder; its own name if it is elsewhere."""
    root = Path(folder_paths.get_input_directory())
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def input_subfolders() -> list[str]:
    """Folders below ComfyUI's input folder, up to three levels deep, as relative names; without ComfyUI's own."""
    root = Path(folder_paths.get_input_directory())
    found = (name for name in _subfolders(root, "", MAX_DEPTH) if name.split("/")[0] not in HOSTS_OWN)
    return sorted(found, key=str.casefold)


def _subfolders(folder: Path, prefix: str, depth: int) -> Iterator[str]:
    try:
        names = [entry.name for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return
    for name in names:
        if not name.startswith("."):
            yield prefix + name
            if depth > 1:
                yield from _subfolders(folder / name, f"{prefix}{name}/", depth - 1)
