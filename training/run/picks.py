"""The step of a run that the user picked as the best, stored in the run's folder until it is taken back.

Train LoRA and Pick Step keep returning it when the run is trained further, and no rule deletes its file.
"""

import json
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Literal, get_args

from ..files.atomic import write_text_atomic
from ..files.json_files import read_json
from .folder import PICK_FILE, RunFolder
from .metrics import best_step


@dataclass(frozen=True, kw_only=True, slots=True)
class Pick:
    """A picked step."""

    step: int
    """The picked step, which has a saved LoRA."""
    picked_at: int
    """Last saved step of the run when it was picked."""


def save_pick(folder: RunFolder, step: int) -> Pick:
    """Store the step as picked.

    Raises:
        ValueError: The run has no saved LoRA of that step.
    """
    saved = list(folder.step_loras())
    if step not in saved:
        raise ValueError(f"step must be one with a saved LoRA ({shown(saved)}), got {step}; press Save now first")
    pick = Pick(step=step, picked_at=saved[-1])
    write_text_atomic(folder.private / PICK_FILE, json.dumps(asdict(pick)))
    return pick


def forget_pick(folder: RunFolder) -> None:
    """Remove the pick."""
    (folder.private / PICK_FILE).unlink(missing_ok=True)


def load_pick(folder: RunFolder) -> Pick | None:
    """The picked step, if there is one whose LoRA still exists.

    Raises:
        OSError: The file is there, but the system refuses to read it now.
    """
    try:
        pick = Pick(**read_json((folder.private / PICK_FILE).read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, ValueError, TypeError):
        return None
    return pick if pick.step in folder.step_loras() else None


def picks_state(loras: Path, name: str = "*") -> str:
    """Changes whenever a pick does, of one name or of any in the folder of all LoRAs."""
    pattern = name if name == "*" else escape(name)
    found = ((path.parent.name, path.stat().st_mtime_ns) for path in loras.glob(f"{pattern}/.run/*/{PICK_FILE}"))
    return repr(sorted(found))


def shown(steps: list[int]) -> str:
    """Steps for a message, abbreviated in the middle if there are many."""
    names = [str(step) for step in steps]
    return ", ".join(names if len(names) <= 12 else [*names[:6], "...", *names[-5:]]) or "none yet"


PickRule = Literal["picked in the strip", "last", "best by validation", "step"]
PICK_RULES: tuple[PickRule, ...] = get_args(PickRule)


def chosen_step(folder: RunFolder, rule: PickRule, step: int = 0) -> int:
    """The saved step that a rule selects; without a pick, the last one.

    Raises:
        ValueError: Nothing is saved, the step is not, or nothing was validated.
    """
    saved = folder.step_loras()
    if not saved:
        raise ValueError(f"run {folder.name!r} has no saved LoRA yet; train it, or lower save_every")
    if rule == "step":
        if step not in saved:
            raise ValueError(f"step must be a saved one ({shown(list(saved))}), got {step}")
        return step
    if rule == "best by validation":
        best = best_step(folder.metrics, saved)
        if best is None:
            raise ValueError(f"no saved step of run {folder.name!r} was validated; hold images out in Train LoRA")
        return best
    pick = load_pick(folder) if rule == "picked in the strip" else None
    return pick.step if pick else max(saved)
