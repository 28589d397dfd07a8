"""A run as the page and Plot Run see it: thinned metrics, previews, saved steps. Plain data, ready for JSON."""

from collections.abc import Iterator
from pathlib import Path
from re import compile as regex
from typing import Any, cast

from ..files.json_files import read_json
from ..loop.rate_changes import totals
from .curves import Curves, read_curves
from .folder import RunFolder, Unreadable
from .picks import load_pick
from .record import RunRecord, load_record

PREVIEW_FILE = regex(r"^step(\d{6,12})-(\d{2,4})\.png$")
PREVIEW_SET = regex(r"^[0-9a-f]{12}$")


def preview_sets(folder: RunFolder) -> list[dict[str, Any]]:
    """Previews by their settings, the set drawn last first: key, rows, size, steps with all pictures.

    A row has a prompt and, if pictures were drawn at several strengths, a strength.
    """
    newest_first = sorted(_set_folders(folder), key=lambda path: path.stat().st_mtime, reverse=True)
    return [found for found in map(_preview_set, newest_first) if found["steps"]]


def _set_folders(folder: RunFolder) -> Iterator[Path]:
    if folder.previews.is_dir():
        yield from (path for path in folder.previews.iterdir() if PREVIEW_SET.match(path.name) and path.is_dir())


def _preview_set(path: Path) -> dict[str, Any]:
    about = _read_settings(path / "settings.json")
    strengths = about.get("strengths", [])
    prompts = [str(prompt) for prompt in about.get("prompts", []) for _ in strengths or [1.0]]
    counts: dict[int, int] = {}
    for match in (PREVIEW_FILE.match(file.name) for file in path.glob("step*.png")):
        if match:
            counts[int(match[1])] = counts.get(int(match[1]), 0) + 1
    wanted = len(prompts) or max(counts.values(), default=0)
    return {
        "key": path.name,
        "prompts": prompts or [""] * wanted,
        "strengths": strengths * (len(prompts) // len(strengths)) if strengths else [],
        "width": about.get("width", 512),
        "height": about.get("height", 512),
        "seed": about.get("seed", 0),
        "steps": sorted(step for step, count in counts.items() if count >= wanted),
    }


def _read_settings(path: Path) -> dict[str, Any]:
    """The preview settings; empty if the file is missing or broken."""
    try:
        found: Any = read_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast(dict[str, Any], found) if isinstance(found, dict) else {}


def _record(folder: RunFolder) -> RunRecord | None:
    """The record, or None if it cannot be read now: the page asks again in a moment."""
    try:
        return load_record(folder.record)
    except Unreadable:
        return None


def run_view(folder: RunFolder) -> dict[str, Any]:
    """Everything that the page needs to show a run."""
    record = _record(folder)
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
