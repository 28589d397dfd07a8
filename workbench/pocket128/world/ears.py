"""Ears, horns and antennas by kind, behind a head of radius 1."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from ..pen import Color, shade
from .brush import INK, Brush

BONE: Color = (250, 240, 215)
SIDES = (-1, 1)


def _pointed(brush: Brush, skin: Color, tall: float) -> None:
    for side in SIDES:
        brush.polygon([(side * 0.95, -0.25), (side * 0.85, -tall), (side * 0.25, -0.8)], skin)
        inner = [(side * 0.8, -0.5), (side * 0.76, -tall + 0.25), (side * 0.42, -0.8)]
        brush.polygon(inner, shade(skin, 1.4), has_edge=False)


def _long(brush: Brush, skin: Color) -> None:
    for side in SIDES:
        brush.ellipse(side * 0.42, -1.25, 0.22, 0.62, skin)
        brush.ellipse(side * 0.42, -1.25, 0.1, 0.45, shade(skin, 1.4), has_edge=False)


def _round(brush: Brush, skin: Color) -> None:
    for side in SIDES:
        brush.ellipse(side * 0.75, -0.72, 0.36, 0.36, skin)
        brush.ellipse(side * 0.75, -0.72, 0.18, 0.18, shade(skin, 1.4), has_edge=False)


def _hanging(brush: Brush, skin: Color) -> None:
    for side in SIDES:
        brush.ellipse(side * 1.02, 0.0, 0.26, 0.62, shade(skin, 0.7))


def _bulges(brush: Brush, skin: Color) -> None:
    for side in SIDES:
        brush.ellipse(side * 0.5, -0.72, 0.34, 0.34, skin)


def _horns(brush: Brush, _: Color) -> None:
    for side in SIDES:
        brush.polygon([(side * 0.3, -0.75), (side * 0.8, -1.45), (side * 0.85, -0.4)], BONE)


def _antenna(brush: Brush, skin: Color) -> None:
    for side in SIDES:
        brush.box(side * 1.1 - 0.15, -0.25, side * 1.1 + 0.15, 0.3, shade(skin, 0.7))
    brush.stroke([(0, -0.8), (0, -1.25)], INK, 0.09)
    brush.ellipse(0, -1.3, 0.14, 0.14, (230, 60, 60))


EARS: dict[str, Callable[[Brush, Color], None]] = {
    "cat": partial(_pointed, tall=1.25),
    "fox": partial(_pointed, tall=1.45),
    "rabbit": _long,
    "bear": _round,
    "dog": _hanging,
    "frog": _bulges,
    "monster": _horns,
    "robot": _antenna,
}
