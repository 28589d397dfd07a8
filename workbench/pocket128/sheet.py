"""Draws a sheet of the world as it is, and prints the captions of its pictures."""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from ..pocket.sheets import save_sheet
from .pictures import to_images
from .world.captions import describe
from .world.drawing import draw_figure
from .world.figure import random_figure

SHEET = Path(__file__).resolve().parent / "world.png"


def main(arguments: list[str]) -> int:
    """The command; 0 when the sheet is written."""
    parser = argparse.ArgumentParser(prog="sheet", description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=SHEET)
    parser.add_argument("--count", type=int, default=32)
    parser.add_argument("--seed", default="sheet")
    options = parser.parse_args(arguments)
    rng = random.Random(options.seed)
    figures = [random_figure(rng) for _ in range(options.count)]
    save_sheet(options.path, to_images(np.stack([draw_figure(figure) for figure in figures])), columns=8, zoom=1)
    print("\n".join(describe(figure) for figure in figures))
    return 0
