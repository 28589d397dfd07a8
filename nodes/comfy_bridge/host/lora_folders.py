"""LoRA files in the host's folders: their names, what tells that one has changed, where new ones go."""

from pathlib import Path, PurePosixPath
from typing import Literal

import folder_paths

from ....training.files.lora_file import LoraTensors
from ....training.networks.foreign import load_kohya
from .folders import safe_join

SaveFolder = Literal["output/loras", "models/loras"]
SAVE_FOLDERS: list[str] = ["output/loras", "models/loras"]


def lora_names() -> list[str]:
    """Names of all LoRA files the host knows, those of runs in output/loras included; hidden folders left out."""
    names = [name.replace("\\", "/") for name in folder_paths.get_filename_list("loras")]
    return [name for name in names if not any(part.startswith(".") for part in PurePosixPath(name).parts)]


def lora_path(name: str) -> Path:
    """File of a name from `lora_names`.

    Raises:
        ValueError: There is none now.
    """
    path = folder_paths.get_full_path("loras", name)
    if path is None:
        raise ValueError(
            f"lora_name: {name!r} is in no LoRA folder; choose a file of the list, or put it into models/loras"
        )
    return Path(path)


def read_lora(name: str) -> LoraTensors:
    """A LoRA file under kohya's names, with its metadata.

    Raises:
        ValueError: It is not there, not readable, or for another kind of model.
    """
    path = lora_path(name)
    file = load_kohya(path)
    return LoraTensors(file.tensors, file.metadata, path.stem, file.note)


def lora_state(name: str) -> str:
    """Name and `file_state` of a LoRA file; empty where it is not there."""
    path = folder_paths.get_full_path("loras", name)
    return "" if path is None else f"{name}:{file_state(path)}"


def file_state(path: str | Path) -> str:
    """Changes whenever a file does or another takes its place: number, time of change and size. Empty: not there."""
    try:
        stat = Path(path).stat()
    except OSError:
        return ""
    return f"{stat.st_ino}:{stat.st_mtime_ns}:{stat.st_size}"


def new_lora_path(prefix: str, folder: str) -> Path:
    """A file that is not there yet: `prefix_00001_.safetensors`, counted up, as the host's save nodes name theirs.

    `%date%`-like placeholders of the host are filled in.

    Raises:
        ValueError: The prefix leads out of the folder.
    """
    root = _save_root(folder)
    safe_join(root, prefix, folder)
    full_folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, str(root))
    return Path(full_folder) / f"{name}_{counter:05}_.safetensors"


def _save_root(folder: str) -> Path:
    if folder == "output/loras":
        return Path(folder_paths.get_output_directory()) / "loras"
    return Path(folder_paths.get_folder_paths("loras")[0])
