"""Trains characters nobody tuned for, with defaults: `python dev.py compare --characters 12`.

Each is trained by Train LoRA and by Recipe as they come, from nine pictures, and drawn on all six backgrounds. What was
measured is kept in .cache/outsiders, training by training, so that a call goes on where the last one stopped.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch

from ...tests.support.paths import CACHE
from ...training.files.atomic import write_text_atomic
from ..pocket.sheets import save_sheet
from .cast import Outsider, cast, made_up
from .measure import right_pictures
from .report import table
from .studio import Studio, studio_in
from .training import SETTINGS, Trial

FOLDER = CACHE / "outsiders"
AVATARS = CACHE / "vectors" / "characters"


def main(arguments: Sequence[str] | None = None) -> int:
    """Train what is missing, then print the table."""
    parser = argparse.ArgumentParser(prog="dev.py compare", description=__doc__)
    parser.add_argument("--characters", type=int, default=12, help="how many; half made up, half avatars")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each by each of the settings")
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--avatars", type=Path, default=AVATARS, help="folder that vectors.mjs characters wrote")
    parser.add_argument("--sheet", type=Path, help="only draw the made-up ones there")
    options = parser.parse_args(arguments)
    if options.sheet:
        _save_pictures(options.sheet, [made_up(str(index)) for index in range(options.characters)])
        return 0
    characters = cast(options.characters, options.avatars)
    file = FOLDER / "results.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    studio: Studio | None = None
    for trial in _trials(options.seeds, characters, options.settings):
        if trial.key in results:
            continue
        studio = studio or studio_in(FOLDER / "comfyui")
        measured, pictures = studio.train(trial, characters)
        results[trial.key] = asdict(measured)
        write_text_atomic(file, json.dumps(results, indent=1))
        _save_pictures(FOLDER / f"{trial.name} {trial.settings}.png", [trial.outsider], pictures)
        print(f"{trial.key}: {measured}", flush=True)
    print(table(results))
    return 0


def _trials(num_seeds: int, characters: Sequence[Outsider], settings: Sequence[str]) -> Iterator[Trial]:
    """All trainings, every character's first seed first."""
    for seed in range(1, num_seeds + 1):
        for outsider in characters:
            for chosen in settings:
                yield Trial(outsider, chosen, seed)


def _save_pictures(path: Path, characters: Sequence[Outsider], *drawn: np.ndarray) -> None:
    """The right pictures, a row a character, above what was drawn."""
    right = [right_pictures(one, list(one.pictures)) for one in characters]
    rows = np.concatenate([*right, *drawn])
    save_sheet(path, torch.from_numpy(rows).permute(0, 3, 1, 2).float() / 255, columns=len(right[0]), zoom=1)
