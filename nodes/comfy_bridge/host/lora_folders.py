"""LoRA files in the host's folders: their names, their state, and paths for new ones."""

from pathlib import Path, PurePosixPath
from typing import Literal

import folder_paths

from ....training.files.file_state import file_state
from ....training.files.lora_file import LoraTensors
from ....training.files.words import shown_name
from ....training.networks.foreign import load_kohya
from ....training.run.naming import check_new_folders
from .folders import safe_join
from .gone_folders import forget_gone_folders

SaveFolder = Literal["output/loras", "models/loras"]
SAVE_FOLDERS: list[str] = ["output/loras", "models/loras"]


def lora_names() -> list[str]:
    """Names of all LoRA files the host knows, including those of runs in output/loras; without hidden folders."""
    forget_gone_folders()
    names = [name.replace("\\", "/") for name in folder_paths.get_filename_list("loras")]
    return [name for name in names if not any(part.startswith(".") for part in PurePosixPath(name).parts)]


def lora_path(name: str) -> Path:
    """Path of a name from `lora_names`.

    Raises:
        ValueError: The file no longer exists.
    """
    path = folder_paths.get_full_path("loras", name)
    if path is None:
        raise ValueError(
            f"lora_name: {shown_name(name)} is in no LoRA folder; choose one of the list, or put it into models/loras"
        )
    return Path(path)


def read_lora(name: str) -> LoraTensors:
    """Read a LoRA file under kohya's names, with its metadata.

    Raises:
        ValueError: It is missing, unreadable, or for another kind of model.
    """
    path = lora_path(name)
    file = load_kohya(path)
    return LoraTensors(file.tensors, file.metadata, path.stem, file.note)


def lora_state(name: str) -> str:
    """Name and `file_state` of a LoRA file; empty if it is missing."""
    path = folder_paths.get_full_path("loras", name)
    return "" if path is None else f"{name}:{file_state(path)}"


def new_lora_path(prefix: str, folder: str) -> Path:
    """An unused path `prefix_00001_.safetensors`, numbered like the host's save nodes do.

    Fills in the host's placeholders such as `%date%`.

    Raises:
        ValueError: The prefix leads out of the folder, or is no file name on every system.
    """
    root = _save_root(folder)
    safe_join(root, prefix, folder)
    full_folder, name, counter, _, _ = folder_paths.get_save_image_path(prefix, str(root))
    return check_new_folders(Path(full_folder) / f"{name}_{counter:05}_.safetensors", root, "filename_prefix")


def _save_root(folder: str) -> Path:
    if folder == "output/loras":
        return Path(folder_paths.get_output_directory()) / "loras"
    return Path(folder_paths.get_folder_paths("loras")[0])
