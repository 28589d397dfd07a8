"""The hair of people: what falls behind the shoulders, what stands behind the head, and the fringe."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..pen import Color, Point, curve
from .brush import Brush
from .figure import HAIR_COLORS, Figure


def draw_behind_body(brush: Brush, figure: Figure) -> None:
    """Long hair, which falls behind the shoulders."""
    if figure.hairstyle == "long":
        hair = HAIR_COLORS[figure.hair_color]
        crown = curve((0, 0), (1.14, 1.12), (180, 360))
        brush.polygon([*crown, (1.2, 1.5), (0.9, 1.75), (-0.9, 1.75), (-1.2, 1.5)], hair)


def _bun(brush: Brush, hair: Color) -> None:
    brush.ellipse(0, -1.15, 0.45, 0.42, hair)


def _ponytail(brush: Brush, hair: Color) -> None:
    brush.polygon([(0.5, -0.9), (1.3, -0.8), (1.65, 0.1), (1.5, 1.0), (1.15, 0.3), (0.7, -0.3)], hair)


def _twintails(brush: Brush, hair: Color) -> None:
    for side in (-1, 1):
        tail = [(0.8, -0.6), (1.4, -0.6), (1.6, 0.4), (1.35, 1.4), (1.1, 0.5), (0.85, 0.0)]
        brush.polygon([(side * x, y) for x, y in tail], hair)


def _curls(brush: Brush, hair: Color) -> None:
    for degrees in range(150, 400, 30):
        x, y = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        brush.ellipse(x * 0.95, y * 0.95, 0.38, 0.36, hair)


def _spikes(brush: Brush, hair: Color) -> None:
    spikes: list[Point] = []
    for index, degrees in enumerate(range(170, 371, 20)):
        reach = 1.5 if index % 2 else 1.0
        spikes.append((reach * math.cos(math.radians(degrees)), reach * math.sin(math.radians(degrees))))
    brush.polygon(spikes, hair)


HAIR_BEHIND: dict[str, Callable[[Brush, Color], None]] = {
    "bun": _bun,
    "ponytail": _ponytail,
    "twintails": _twintails,
    "curly": _curls,
    "spiky": _spikes,
}


def draw_fringe(brush: Brush, figure: Figure) -> None:
    """The hair above the forehead, over the face's edge."""
    hair, style = HAIR_COLORS[figure.hair_color], figure.hairstyle
    if style == "curly":
        for x in (-0.75, -0.4, 0.0, 0.4, 0.75):
            brush.ellipse(x, -0.72 - 0.2 * (1 - abs(x)), 0.28, 0.26, hair)
        return
    top = curve((0, 0), (1.03, 1.06), (185, 355))
    if style == "spiky":
        edge = [(0.7, -0.35), (0.5, -0.6), (0.25, -0.25), (0.0, -0.55), (-0.3, -0.25), (-0.5, -0.6), (-0.8, -0.3)]
    elif style in ("long", "twintails"):
        edge = [(0.86, -0.3), (0.7, -0.42), (0.2, -0.38), (-0.2, -0.38), (-0.7, -0.42), (-0.86, -0.3)]
    elif style == "short":
        edge = [(0.82, -0.3), (0.45, -0.62), (0.0, -0.5), (-0.5, -0.35), (-0.85, -0.2)]
    else:
        edge = [(0.85, -0.3), (0.5, -0.75), (0.0, -0.82), (-0.5, -0.75), (-0.85, -0.3)]
    brush.polygon([*top, *edge], hair)
