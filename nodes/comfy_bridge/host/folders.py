"""ComfyUI's folders, and safe names of users' folders and files below them."""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath, PureWindowsPath

import folder_paths

HOSTS_OWN = frozenset({"3d", "clipspace"})
"""Folders that ComfyUI creates below its input folder; sorted first, they would be every user's default."""
MAX_DEPTH = 3


def input_folder(relative: str) -> Path:
    """A path below ComfyUI's input folder, whether it exists or not.

    Raises:
        ValueError: The name leads out of the input folder.
    """
    return safe_join(Path(folder_paths.get_input_directory()), relative, "ComfyUI's input folder")


def output_folder(relative: str) -> Path:
    """A path below ComfyUI's output folder, whether it exists or not.

    Raises:
        ValueError: The name leads out of the output folder.
    """
    return safe_join(Path(folder_paths.get_output_directory()), relative, "ComfyUI's output folder")


def lora_folders() -> list[Path]:
    """All folders that ComfyUI searches for LoRA files."""
    return [Path(folder) for folder in folder_paths.get_folder_paths("loras")]


def safe_join(root: Path, relative: str, root_name: str) -> Path:
    """`root / relative`, if that is below `root` even after following links.

    Raises:
        ValueError: The name is empty, absolute, has a drive letter, `..` or control characters, or a link on its way
            leads out of `root`.
    """
    posix = relative.strip().replace("\\", "/")
    parts = PurePosixPath(posix).parts
    is_absolute = posix.startswith("/") or bool(PureWindowsPath(posix).drive)
    if not parts or is_absolute or ".." in parts or any(ord(c) < 32 for c in posix):
        raise ValueError(f"the folder must be named relative to {root_name}, without '..', got {relative!r}")
    path = root.joinpath(*parts)
    if not path.resolve().is_relative_to(root.resolve()):
        raise ValueError(f"{relative!r} is a link that leads out of {root_name}; move or copy the folder into it")
    return path


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
