"""What `metrics.jsonl` says: the loss of each step, and what was measured between steps.

Lines with `loss` are steps. Others have `step` and what was measured there: `validation_loss`.
"""

from collections.abc import Iterable
from pathlib import Path

from .lines import read_lines


def validation_losses(path: Path) -> dict[int, float]:
    """Validation loss by step, of the set that was measured last; other sets are not comparable."""
    lines = [line for line in read_lines(path) if "validation_loss" in line]
    newest = lines[-1].get("validation_set") if lines else None
    return {line["step"]: line["validation_loss"] for line in lines if line.get("validation_set") == newest}


def last_validated(path: Path, set_id: str) -> int:
    """Last step at which a set was measured; -1 for none."""
    lines = (line for line in read_lines(path) if "validation_loss" in line and line.get("validation_set") == set_id)
    return max((line["step"] for line in lines), default=-1)


def best_step(path: Path, steps: Iterable[int]) -> int | None:
    """The step with the lowest validation loss; None if none was validated."""
    losses = validation_losses(path)
    validated = [step for step in steps if step in losses]
    return min(validated, key=lambda step: losses[step], default=None)
