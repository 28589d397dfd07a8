"""Stores a comparison in a folder: its pictures, scores, votes and the chosen cell.

The folder's name depends on everything that determines the pictures, so nothing is drawn twice and a reloaded page
shows the same. It contains `0000.png`, ... one per cell, `comparison.json`, `votes.json`, `choice.json`.
"""

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from re import compile as regex
from typing import Any, cast

from PIL import Image

from ..files.atomic import write_atomic, write_text_atomic
from ..files.json_files import read_json
from .layout import NO_LORA, Cell
from .overfit import OVERFIT
from .strength_advice import strength_advice

COMPARISON_ID = regex(r"[0-9a-f]{24}", re.ASCII)
PICTURE_FILE = regex(r"[0-9]{4}\.png", re.ASCII)
ABOUT, VOTES, CHOICE = "comparison.json", "votes.json", "choice.json"
MAX_VOTES = 10_000
MAX_KEPT = 50
MAX_KEPT_BYTES = 2 << 30
MIN_LEARNED = 0.02
"""A LoRA that brings the pictures less than this closer to the references shows nothing that could be overfit."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A comparison without its pictures. Lists are by cell or by LoRA, in the same order."""

    loras: tuple[str, ...]
    """Labels."""
    steps: tuple[int | None, ...]
    """Steps of the run; None for LoRAs that are not steps of it."""
    prompts: tuple[str, ...]
    strengths: tuple[float, ...]
    text_strengths: tuple[float | None, ...]
    """None: the same as the U-Net's."""
    run: tuple[str, str] | None
    """Id and name of the run."""
    cells: tuple[Cell, ...]
    scores: tuple[float, ...]
    """Similarity to the references by cell; empty without references."""
    plain_scores: tuple[float, ...]
    """Mean similarity by LoRA without the trigger word; empty without one."""
    others_changed: tuple[float | None, ...] = ()
    """By LoRA, its change of other subjects, as `overfit.py` measures it; empty if none were drawn."""

    def by_cell(self) -> dict[Cell, float]:
        """Scores; empty without references."""
        return dict(zip(self.cells, self.scores, strict=True)) if self.scores else {}

    def means(self) -> list[float]:
        """Mean score by LoRA."""
        found: list[list[float]] = [[] for _ in self.loras]
        for cell, score in self.by_cell().items():
            found[cell.lora].append(score)
        return [sum(values) / len(values) for values in found]

    def leaks(self) -> list[float | None]:
        """By LoRA, how much of its effect with the trigger word also shows without it, 0..1.

        None if unknown: no trigger word or base model, or a LoRA without a visible effect.
        """
        if not self.plain_scores or NO_LORA not in self.loras:
            return [None] * len(self.loras)
        base, means = self.loras.index(NO_LORA), self.means()
        added = [mean - means[base] for mean in means]
        unasked = [plain - self.plain_scores[base] for plain in self.plain_scores]  # it is a different prompt then
        return [
            None if name == NO_LORA or mine < MIN_LEARNED else min(1.0, max(0.0, shown / mine))
            for name, mine, shown in zip(self.loras, added, unasked, strict=True)
        ]

    def report(self, best: int, why: str) -> str:
        """Scores and what they mean; `why` says in what respect `best` is best."""
        lines = [f"{self.loras[best]} is the output: {why}"]
        lines += [
            f"{name}: changes other subjects {share:.0%} as much as what it was trained for"
            + (": overfit, take an earlier step" if share >= OVERFIT else "")
            for name, share in zip(self.loras, self.others_changed, strict=False)
            if share is not None
        ]
        if not self.scores:
            return "\n".join([*lines, "Connect reference images to score the cells."])
        lines += [f"{name}: likeness {mean:.3f}" for name, mean in zip(self.loras, self.means(), strict=True)]
        pairs = zip(self.loras, self.plain_scores, self.leaks(), strict=False)
        for name, plain, leak in pairs:
            told = "" if leak is None else f", shows {leak:.0%} of itself unasked"
            lines.append(f"{name}: likeness {plain:.3f} without the trigger{told}")
        lines += [
            f"{name}: {advice}"
            for index, name in enumerate(self.loras)
            if name != NO_LORA
            and (advice := strength_advice(self.by_cell(), index, self.strengths, self.text_strengths))
        ]
        return "\n".join(lines)


def picture_name(index: int) -> str:
    """File of a cell's picture."""
    return f"{index:04d}.png"


def save_comparison(folder: Path, comparison: Comparison, pictures: Sequence[Image.Image]) -> None:
    """Write the pictures, then the description; deletes the oldest comparisons beside it beyond a limit."""
    folder.mkdir(parents=True, exist_ok=True)
    for index, picture in enumerate(pictures):
        write_atomic(folder / picture_name(index), lambda path, picture=picture: _write_png(picture, path))
    write_text_atomic(folder / ABOUT, json.dumps(asdict(comparison)))
    _limit(folder)


def _write_png(picture: Image.Image, path: Path) -> None:
    picture.save(path, "PNG", compress_level=1)


def load_comparison(folder: Path) -> Comparison | None:
    """Load a comparison, or None if it is missing or was not finished."""
    about = _read(folder / ABOUT)
    try:
        cells = tuple(Cell(**cell) for cell in about.pop("cells"))
        run = about.pop("run")
        lists: dict[str, Any] = {name: tuple(values) for name, values in about.items()}
        return Comparison(cells=cells, run=None if run is None else (run[0], run[1]), **lists)
    except (AttributeError, KeyError, TypeError):
        return None


def load_pictures(folder: Path, comparison: Comparison) -> list[Image.Image] | None:
    """The picture of each cell, or None where one is missing or broken."""
    pictures: list[Image.Image] = []
    try:
        for index in range(len(comparison.cells)):
            with closing(Image.open(folder / picture_name(index))) as picture:
                pictures.append(picture.convert("RGB"))
    except OSError:
        return None
    return pictures


def load_votes(folder: Path) -> list[list[int]]:
    """[winner, loser] of each vote, as indices of cells."""
    found = _read(folder / VOTES)
    return [vote for vote in cast(list[Any], found) if _is_vote(vote)] if isinstance(found, list) else []


def _is_vote(vote: Any) -> bool:
    pair = cast(list[Any], vote) if isinstance(vote, list) else []
    return len(pair) == 2 and all(isinstance(cell, int) and not isinstance(cell, bool) for cell in pair)


def save_votes(folder: Path, comparison: Comparison, votes: Sequence[Any]) -> None:
    """Save all votes, replacing earlier ones.

    Raises:
        ValueError: They are not pairs of different cells of the comparison, or too many.
    """
    if len(votes) > MAX_VOTES:
        raise ValueError(f"there can be at most {MAX_VOTES} votes, got {len(votes)}")
    for vote in votes:
        pair = cast(list[Any], vote) if isinstance(vote, list) else []
        if len(pair) != 2 or pair[0] == pair[1]:
            raise ValueError("each vote must be [winner, loser], two different cells")
        for index in pair:
            _check_cell(comparison, index)
    write_text_atomic(folder / VOTES, json.dumps(list(votes)))


def load_choice(folder: Path, comparison: Comparison) -> int | None:
    """Index of the chosen cell."""
    found = _read(folder / CHOICE)
    try:
        _check_cell(comparison, found)
    except ValueError:
        return None
    return found


def save_choice(folder: Path, comparison: Comparison, cell: Any) -> None:
    """Save the chosen cell; None removes the choice.

    Raises:
        ValueError: There is no such cell.
    """
    if cell is None:
        (folder / CHOICE).unlink(missing_ok=True)
        return
    _check_cell(comparison, cell)
    write_text_atomic(folder / CHOICE, json.dumps(cell))


def _check_cell(comparison: Comparison, index: Any) -> None:
    if not isinstance(index, int) or isinstance(index, bool) or not 0 <= index < len(comparison.cells):
        raise ValueError(f"a cell must be a number from 0 to {len(comparison.cells) - 1}, got {str(index)[:20]}")


def choices_state(comparisons: Path) -> str:
    """Changes whenever a choice of any comparison does."""
    found = ((path.parent.name, path.stat().st_mtime_ns) for path in comparisons.glob(f"*/{CHOICE}"))
    return repr(sorted(found))


def comparison_view(folder: Path, comparison: Comparison) -> dict[str, Any]:
    """What the page needs to show it, as plain data."""
    cells = [
        {**asdict(cell), "file": picture_name(index), "score": comparison.scores[index] if comparison.scores else None}
        for index, cell in enumerate(comparison.cells)
    ]
    return {
        **asdict(comparison),
        "id": folder.name,
        "run": None if comparison.run is None else {"id": comparison.run[0], "name": comparison.run[1]},
        "cells": cells,
        "means": comparison.means() if comparison.scores else [],
        "leaks": comparison.leaks(),
        "votes": load_votes(folder),
        "choice": load_choice(folder, comparison),
    }


def _read(path: Path) -> Any:
    try:
        return read_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def _limit(folder: Path) -> None:
    ages: Mapping[Path, float] = {path.parent: path.stat().st_mtime for path in folder.parent.glob(f"*/{ABOUT}")}
    size = 0
    for number, kept in enumerate(sorted(ages, key=lambda path: ages[path], reverse=True)):
        size += sum(path.stat().st_size for path in kept.iterdir())
        if kept != folder and (number >= MAX_KEPT or size > MAX_KEPT_BYTES):
            shutil.rmtree(kept, ignore_errors=True)
