"""Copies a run to a new name, so that renaming in the graph trains nothing."""

import logging
import shutil
from pathlib import Path

from ..files.atomic import copy_atomic
from ..files.lora_file import load_lora, save_lora
from .folder import RunFolder
from .identity import RunKey
from .name import RUN_KEY, is_own
from .record import RunRecord, load_record

_TITLES = ("ss_output_name", "modelspec.title")


def same_elsewhere(root: Path, key: RunKey) -> list[tuple[RunFolder, RunRecord]]:
    """Runs of this identity under other names beside `root` and in folders there, those with most steps first."""
    paths = (path for path in root.parent.glob("*/**/.run/*/run.json") if not path.parents[2].samefile(root))
    found = ((RunFolder(path.parents[2], path.parent.name), load_record(path)) for path in paths)
    same = [(folder, record) for folder, record in found if record is not None and record.is_of(key)]
    return sorted(same, key=lambda run: max(run[0].states(), default=0), reverse=True)


def copy_run(source: RunFolder, step: int, target: RunFolder) -> None:
    """Copy the state of a step and what led to it: LoRAs of earlier steps, metrics, report, pictures.

    The caller writes the record and the latest LoRA, and locks the source, whose files would change otherwise. A step's
    LoRA that cannot be read, that the source did not write, or that a target whose states are gone still has itself is
    left out.

    Raises:
        OSError: A file cannot be read or written.
    """
    target.private.mkdir(parents=True, exist_ok=True)
    there = {saved for saved, path in target.step_loras().items() if is_own(target, path)}
    for saved, path in source.step_loras().items():
        if saved <= step and saved not in there and is_own(source, path):
            _copy_lora(path, saved, source, target)
    for path in source.notes:
        if path.is_file():
            copy_atomic(path, target.private / path.name)
    if source.previews.is_dir():
        shutil.copytree(source.previews, target.previews, dirs_exist_ok=True)
    copy_atomic(source.state(step), target.state(step))


def _copy_lora(path: Path, step: int, source: RunFolder, target: RunFolder) -> None:
    """Copy a LoRA into the target's own folder, with the new name and run id in its header."""
    copy = target.private / target.step_lora(step).name
    try:
        file = load_lora(path)
    except ValueError as error:
        logging.warning("LoRA Bakery: %s is not copied to %s: %s", path, copy.parent, error)
        return
    changed = {key: target.name for key in _TITLES if file.metadata.get(key) == source.name}
    if RUN_KEY in file.metadata:
        changed[RUN_KEY] = target.run_id
    save_lora(copy, file.tensors, {**file.metadata, **changed})
