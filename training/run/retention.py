"""Which steps of a run stay on the disk: what keep_last leaves, the newest states, those before it went wrong."""

import logging
from collections.abc import Set
from pathlib import Path

from ..files.atomic import copy_atomic
from .folder import RunFolder, Unreadable, current_run
from .latest import is_edited
from .metrics import best_step
from .name import is_own
from .picks import load_pick

STATES_KEPT = 2


def prune_states(folder: RunFolder, step: int, stage_ends: Set[int], good_step: int = 0) -> None:
    """Keeps the newest states up to a step, and those at the ends of stages: from there another stage can be tried.

    `good_step` keeps the newest one up to there besides.
    """
    states = folder.states()
    # A state of a later step could not be read when this process began.
    done = [saved for saved in states if saved <= step]
    kept = {*done[-STATES_KEPT:], *(stage_ends & set(done)), _newest(done, good_step)}
    for saved, path in states.items():
        if saved not in kept:
            _delete(path)


def prune_loras(folder: RunFolder, step: int, keep_last: int, good_step: int = 0) -> list[int]:
    """Keeps the newest LoRAs up to a step (0 keeps all), the best by validation, the picked one; says which went.

    `good_step` keeps the newest one up to there besides. Those of later steps, which a run leaves that goes on from an
    older state, are made again. Where the pick or the figures cannot be read now, a later save does it.
    """
    if not keep_last:
        return []
    try:
        loras = {saved: path for saved, path in folder.step_loras().items() if saved <= step}
        kept = {best_step(folder.metrics, loras), _picked(folder), _newest(list(loras), good_step)}
        gone = [old for old in list(loras)[:-keep_last] if old not in kept and is_own(folder, loras[old])]
    except (OSError, Unreadable) as error:
        logging.warning("LoRA Bakery: no step of %s is deleted now: %s", folder.name, error)
        return []
    for old in gone:
        _delete(loras[old])
    return gone


def drop_after(folder: RunFolder, good_step: int) -> None:
    """Drops what was saved after a step, but no pick; the latest LoRA becomes that of the last step up to there.

    Where it cannot be read now which LoRAs are whose, the states alone go, from which nothing good can be trained.
    """
    for path in (path for step, path in folder.states().items() if step > good_step):
        _delete(path)
    try:
        _drop_loras_after(folder, good_step)
    except OSError as error:
        logging.warning("LoRA Bakery: no LoRA of %s is deleted now: %s", folder.name, error)


def _drop_loras_after(folder: RunFolder, good_step: int) -> None:
    loras, picked = folder.step_loras(), _picked(folder)
    worthless = {step: path for step, path in loras.items() if step > good_step}
    is_latest_own = not folder.latest_lora.exists() or (is_own(folder, folder.latest_lora) and not is_edited(folder))
    dropped = [path for step, path in worthless.items() if step != picked and is_own(folder, path)]
    for path in dropped:
        _delete(path)
    if not worthless or current_run(folder.root) != folder.run_id or not is_latest_own:
        return
    left = [path for step, path in loras.items() if step <= good_step]
    if left:
        _copy_or_warn(left[-1], folder.latest_lora)
    else:
        _delete(folder.latest_lora)


def _picked(folder: RunFolder) -> int | None:
    pick = load_pick(folder)
    return pick.step if pick else None


def _newest(steps: list[int], until: int) -> int | None:
    return max((step for step in steps if step <= until), default=None)


def _copy_or_warn(path: Path, target: Path) -> None:
    try:
        copy_atomic(path, target)
    except OSError as error:
        logging.warning("LoRA Bakery: %s cannot be copied to %s: %s", path, target, error.strerror or error)


def _delete(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        logging.info("LoRA Bakery: %s cannot be deleted now: %s", path, error.strerror or error)
