"""What a run looks like to who watches it: thinned figures, previews, saved steps. Plain data, ready for JSON."""

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ..loop.rate_changes import totals
from .folder import RunFolder
from .metrics import read_metrics
from .picks import load_pick
from .record import load_record

MAX_POINTS = 1500
"""Points of a curve; more than a chart has pixels is of no use."""
PREVIEW_FILE = re.compile(r"^step(\d{6,12})-(\d{2,4})\.png$")
PREVIEW_SET = re.compile(r"^[0-9a-f]{12}$")


@dataclass(kw_only=True)
class Curves:
    """Figures of a run's steps in columns of equal length, and what was measured between steps."""

    step: list[int] = field(default_factory=list[int])
    loss: list[float | None] = field(default_factory=list[float | None])
    learning_rate: list[float | None] = field(default_factory=list[float | None])
    """Of the group with the largest one."""
    grad_norm: list[float | None] = field(default_factory=list[float | None])
    epoch: list[int] = field(default_factory=list[int])
    validation: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(step, loss) of the held-out images."""
    num_steps: int = 0
    """Steps before thinning."""
    rate: float | None = None
    """Steps a second, of the last steps."""


def read_curves(path: Path, max_points: int = MAX_POINTS) -> Curves:
    """The figures of `metrics.jsonl`; of many steps, each point is the mean of its neighbours."""
    curves = Curves()
    seconds: list[float] = []
    for line in read_metrics(path):
        step = line.get("step")
        if not isinstance(step, int):
            continue
        if "validation_loss" in line:
            curves.validation.append((step, float(line["validation_loss"])))
        if "loss" in line:
            curves.step.append(step)
            curves.loss.append(finite(line["loss"]))
            curves.learning_rate.append(finite(max(line["learning_rates"].values(), default=0.0)))
            curves.grad_norm.append(finite(line["grad_norm"]))
            curves.epoch.append(line["epoch"])
            seconds = [*seconds[-19:], line["seconds"]]
    curves.num_steps = len(curves.step)
    curves.rate = len(seconds) / sum(seconds) if sum(seconds) > 0 else None
    return _thinned(curves, max_points)


def _thinned(curves: Curves, max_points: int) -> Curves:
    size = math.ceil(len(curves.step) / max_points)
    if size <= 1:
        return curves
    ends = [min(start + size, curves.num_steps) for start in range(0, curves.num_steps, size)]
    spans = [(end - 1 - (end - 1) % size, end) for end in ends]
    curves.loss, curves.learning_rate, curves.grad_norm = (
        [_mean(column[start:end]) for start, end in spans]
        for column in (curves.loss, curves.learning_rate, curves.grad_norm)
    )
    curves.step = [curves.step[end - 1] for end in ends]
    curves.epoch = [curves.epoch[end - 1] for end in ends]
    return curves


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def finite(value: float) -> float | None:
    """The number, or None where JSON has no word for it."""
    return float(value) if math.isfinite(value) else None


def preview_sets(folder: RunFolder) -> list[dict[str, Any]]:
    """Previews by what was asked for, the set last drawn first: key, prompts, size, steps with all pictures."""
    newest_first = sorted(_set_folders(folder), key=lambda path: path.stat().st_mtime, reverse=True)
    return [found for found in map(_preview_set, newest_first) if found["steps"]]


def _set_folders(folder: RunFolder) -> Iterator[Path]:
    if folder.previews.is_dir():
        yield from (path for path in folder.previews.iterdir() if PREVIEW_SET.match(path.name) and path.is_dir())


def _preview_set(path: Path) -> dict[str, Any]:
    about = _read_settings(path / "settings.json")
    prompts = [str(prompt) for prompt in about.get("prompts", [])]
    counts: dict[int, int] = {}
    for match in (PREVIEW_FILE.match(file.name) for file in path.glob("step*.png")):
        if match:
            counts[int(match[1])] = counts.get(int(match[1]), 0) + 1
    wanted = len(prompts) or max(counts.values(), default=0)
    return {
        "key": path.name,
        "prompts": prompts or [""] * wanted,
        "width": about.get("width", 512),
        "height": about.get("height", 512),
        "seed": about.get("seed", 0),
        "steps": sorted(step for step, count in counts.items() if count >= wanted),
    }


def _read_settings(path: Path) -> dict[str, Any]:
    """What was asked for; empty where the file is missing or broken."""
    try:
        found: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def run_view(folder: RunFolder) -> dict[str, Any]:
    """Everything that a chart and a strip of previews need of a run."""
    record = load_record(folder.record)
    curves = read_curves(folder.metrics)
    segments = record.segments if record else ()
    step = curves.step[-1] if curves.step else 0
    pick = load_pick(folder)
    return {
        "id": folder.run_id,
        "name": folder.name,
        "step": step,
        "fingerprint": record.fingerprint(step) if record else None,
        "rates": [change for change in totals(record.rate_changes) if change[0] <= step] if record else [],
        "total_steps": sum(segment.steps for segment in segments),
        "stages": [segment.steps for segment in segments],
        "curves": {name: getattr(curves, name) for name in Curves.__dataclass_fields__},
        "loras": list(folder.step_loras()),
        "previews": preview_sets(folder),
        "pick": pick.step if pick else None,
    }
