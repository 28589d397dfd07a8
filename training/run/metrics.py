"""`metrics.jsonl`: one line per step, appended; cut back to the state's step when a run is resumed.

Lines with `loss` are steps. Others have `step` and what was measured there: `validation_loss`.
"""

import json
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..files.atomic import patiently, write_text_atomic
from ..files.json_files import read_json
from ..loop.report import StepReport


def append_metrics(path: Path, report: StepReport) -> None:
    """Append one step's line."""
    append_line(path, asdict(report))


def append_line(path: Path, line: dict[str, Any]) -> None:
    """Append a line, which must have `step`; creates the folder, which people may have moved meanwhile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with patiently(lambda: path.open("a", encoding="utf-8", newline="\n")) as file:
        file.write(_text(line))


def sync_metrics(path: Path) -> None:
    """Flush appended lines to the disk."""
    if path.exists():
        with patiently(lambda: path.open("rb+")) as file:
            os.fsync(file.fileno())


def read_metrics(path: Path) -> Iterator[dict[str, Any]]:
    """Lines in order, without a last line that a crash cut off."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8", errors="replace") as file:
        for line in file:
            try:
                yield read_json(line)
            except ValueError:
                continue


def cut_metrics(path: Path, step: int) -> None:
    """Remove every line after `step`, and a broken last one."""
    if path.is_file():
        write_text_atomic(path, "".join(_text(line) for line in read_metrics(path) if line["step"] <= step))


def validation_losses(path: Path) -> dict[int, float]:
    """Validation loss by step, of the set that was measured last; other sets are not comparable."""
    lines = [line for line in read_metrics(path) if "validation_loss" in line]
    newest = lines[-1].get("validation_set") if lines else None
    return {line["step"]: line["validation_loss"] for line in lines if line.get("validation_set") == newest}


def last_validated(path: Path, set_id: str) -> int:
    """Last step at which a set was measured; -1 for none."""
    lines = (line for line in read_metrics(path) if "validation_loss" in line and line.get("validation_set") == set_id)
    return max((line["step"] for line in lines), default=-1)


def best_step(path: Path, steps: Iterable[int]) -> int | None:
    """The step with the lowest validation loss; None if none was validated."""
    losses = validation_losses(path)
    validated = [step for step in steps if step in losses]
    return min(validated, key=lambda step: losses[step], default=None)


def _text(line: dict[str, Any]) -> str:
    return json.dumps(line, separators=(",", ":")) + "\n"
