"""A run wanted under a new name is copied from the name it was trained under, so that renaming trains nothing."""

import logging
import shutil
from pathlib import Path

from ..files.atomic import write_atomic
from ..files.lora_file import load_lora, save_lora
from .folder import STOPS_FILE, RunFolder

_TITLES = ("ss_output_name", "modelspec.title")


def runs_elsewhere(root: Path) -> list[RunFolder]:
    """Runs of all other names beside `root`, those with most steps first."""
    folders = (RunFolder(path.parents[2], path.parent.name) for path in root.parent.glob("*/.run/*/run.json"))
    others = [folder for folder in folders if not folder.root.samefile(root)]
    return sorted(others, key=lambda folder: max(folder.states(), default=0), reverse=True)


def copy_run(source: RunFolder, step: int, target: RunFolder) -> None:
    """Copies the state of a step and what led there: LoRAs of the steps, figures, report, pictures.

    The record and the LoRA people load are for the caller to write, and to lock the source, whose files would change
    meanwhile. A LoRA of a step that cannot be read is left out.

    Raises:
        OSError: A file cannot be read or written.
    """
    target.private.mkdir(parents=True, exist_ok=True)
    for saved, path in source.step_loras().items():
        if saved <= step:
            _copy_lora(path, target.private / target.step_lora(saved).name, source.name, target.name)
    for path in (source.metrics, source.base_losses, source.report, source.private / STOPS_FILE):
        if path.is_file():
            _copy(path, target.private / path.name)
    if source.previews.is_dir():
        shutil.copytree(source.previews, target.previews, dirs_exist_ok=True)
    _copy(source.state(step), target.state(step))


def _copy_lora(source: Path, target: Path, old_name: str, new_name: str) -> None:
    try:
        file = load_lora(source)
    except ValueError as error:
        logging.warning("LoRA Bakery: %s is not copied to %s: %s", source, target.parent, error)
        return
    titles = {key: new_name for key in _TITLES if file.metadata.get(key) == old_name}
    save_lora(target, file.tensors, {**file.metadata, **titles})


def _copy(source: Path, target: Path) -> None:
    def write(temporary: Path) -> None:
        shutil.copyfile(source, temporary)

    write_atomic(target, write)
