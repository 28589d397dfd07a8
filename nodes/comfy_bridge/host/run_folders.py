"""Locations of runs and cached latents among the host's folders."""

from pathlib import Path

import folder_paths

from ....training.data.cache_limit import limit_cache
from ....training.run.naming import check_name, name_folder


def loras_output() -> Path:
    """`output/loras`, which the host's LoRA loaders search."""
    return Path(folder_paths.get_output_directory()) / "loras"


def run_root(name: str) -> Path:
    """Folder of a run's name.

    Raises ValueError for an invalid folder name, so it never leaves `output/loras`.
    """
    return name_folder(loras_output(), check_name(name))


def share_folder(name: str) -> Path:
    """`output/share/<name>`: what is made ready for others, outside the folders that LoRA loaders list.

    Raises ValueError for a name that cannot be a folder; so it never leaves `output/share`.
    """
    return name_folder(Path(folder_paths.get_output_directory()) / "share", check_name(name))


def latent_cache_folder() -> Path:
    """Encoded images for later runs, the oldest deleted above a limit; may be deleted at any time."""
    folder = Path(folder_paths.get_user_directory()) / "lora_bakery" / "latents"
    limit_cache(folder)
    return folder


def comparisons_folder() -> Path:
    """Stored comparisons, so that a reloaded page shows them again; may be deleted at any time."""
    return Path(folder_paths.get_user_directory()) / "lora_bakery" / "comparisons"
