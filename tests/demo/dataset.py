"""Puts the demo's data where ComfyUI's nodes look for it."""

from pathlib import Path

from ..pocket.characters import CHARACTERS, write_oc_dataset


def add_datasets(input_folder: Path) -> None:
    """Write the dataset of every original character to a folder of its name, unless it is there."""
    for trigger, character in CHARACTERS.items():
        if not (input_folder / trigger).is_dir():
            write_oc_dataset(input_folder / trigger, character)
