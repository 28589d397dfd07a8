"""LoRAs of a run that its next save would replace by something else: they get another visible name, and are named.

A process that dies between a save's LoRAs and its state leaves LoRAs behind the last state. The run writes the same
ones again, unless other stages or another rate follow.
"""

import logging
from itertools import count
from pathlib import Path

from safetensors import SafetensorError

from ..files.atomic import copy_atomic, sync_folder
from ..files.lora_file import load_metadata
from ..files.metadata import FINGERPRINT_KEY
from .folder import RunFolder, split_name
from .latest import is_copied, is_edited
from .record import RunRecord
from .untold import add_untold

STEPS_KEY = "ss_steps"


def header(path: Path) -> dict[str, str]:
    """Empty if it cannot be read."""
    try:
        return load_metadata(path)
    except (OSError, ValueError, SafetensorError):
        return {}


def is_as_planned(path: Path, record: RunRecord, step: int) -> bool:
    """False if a run's LoRA of a step has other weights than its plan has there. Earlier versions did not note it."""
    noted = header(path).get(FINGERPRINT_KEY)
    return noted is None or noted == record.fingerprint(step)


def set_aside(folder: RunFolder, record: RunRecord, step: int) -> tuple[str, ...]:
    """Renames what saving the run from a step on would lose; gives back all that is to be told.

    Raises:
        OSError: Such a LoRA can be neither moved nor copied.
    """
    end = sum(segment.steps for segment in record.segments)
    whys = {
        path: "has other weights than that step will have"
        for saved, path in folder.step_loras().items()
        if step <= saved <= end and not is_as_planned(path, record, saved)
    }
    if why := "was changed by another program" if is_edited(folder) else _why_later(folder, step):
        whys[folder.latest_lora] = why
    told: tuple[str, ...] = ()
    for path, why in whys.items():
        target = folder.root / f"{free_name(folder.root)}{split_name(path)[1]}.safetensors"
        told = add_untold(folder.root, [f"{path.name} {why}; it is kept as {target.name}"])
        move_file(path, target)
    if whys:
        sync_folder(folder.root)
    return told


def _why_later(folder: RunFolder, step: int) -> str:
    """That the latest LoRA is of a later step, which people left without a state and a copy; empty if it is not."""
    latest = folder.latest_lora
    if not latest.is_file():
        return ""
    its = header(latest).get(STEPS_KEY, "")
    if not its.isdecimal() or int(its) <= step or is_copied(folder):
        return ""
    return f"is of step {its}, which is trained again"


def free_name(root: Path) -> str:
    """`NAME-earlier-N` that no file there begins with."""
    taken = [path.name.casefold() for path in root.iterdir()]
    names = (f"{root.name}-earlier-{number}" for number in count(1))
    return next(name for name in names if not any(other.startswith(name.casefold()) for other in taken))


def move_file(path: Path, target: Path) -> bool:
    """True if nothing is left at `path`, False where it was copied.

    Raises:
        OSError: It can be neither moved nor copied.
    """
    try:
        path.replace(target)
    except OSError as error:
        logging.warning("LoRA Bakery: %s cannot be moved and is copied: %s", path, error.strerror or error)
        copy_atomic(path, target)
        return False
    return True
