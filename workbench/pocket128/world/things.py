"""What a figure holds, drawn around its hand."""

from __future__ import annotations

from collections.abc import Callable

from ..pen import Color, curve, shade
from .brush import INK, WHITE, Brush
from .figure import COLORS, Figure
from .hats import GOLD, draw_blossom

WOOD: Color = (140, 92, 52)
STEEL: Color = (196, 204, 214)


def draw_thing(brush: Brush, figure: Figure) -> None:
    """The thing, with the brush around the hand that holds it."""
    _THINGS[figure.thing](brush, COLORS.get(figure.thing_color, WHITE))


def _balloon(brush: Brush, color: Color) -> None:
    brush.stroke([(0, 0), (0.12, -0.9), (0.3, -1.6)], INK, 0.05)
    brush.ellipse(0.3, -2.3, 0.6, 0.72, color)
    brush.ellipse(0.1, -2.55, 0.12, 0.18, shade(color, 1.6), has_edge=False)


def _book(brush: Brush, color: Color) -> None:
    brush.box(-0.32, -0.48, 0.5, 0.42, color)
    brush.box(-0.32, -0.42, -0.2, 0.36, WHITE)
    brush.stroke([(0.0, -0.18), (0.34, -0.18)], GOLD, 0.07)


def _flower(brush: Brush, color: Color) -> None:
    brush.stroke([(0, 0.2), (0.12, -0.75)], (46, 130, 60), 0.1)
    draw_blossom(brush.moved(0.14, -0.95), color, 1.5)


def _sword(brush: Brush, _: Color) -> None:
    brush.polygon([(-0.09, -0.1), (0.13, -0.12), (0.42, -1.5), (0.36, -1.75), (0.18, -1.54)], STEEL)
    brush.stroke([(-0.26, -0.1), (0.3, -0.2)], GOLD, 0.13)
    brush.stroke([(0.0, -0.1), (-0.05, 0.2)], WOOD, 0.13)


def _ice_cream(brush: Brush, _: Color) -> None:
    brush.polygon([(-0.22, -0.5), (0.3, -0.5), (0.04, 0.2)], (222, 168, 96))
    brush.ellipse(0.04, -0.62, 0.3, 0.26, (250, 190, 206))
    brush.ellipse(0.04, -0.95, 0.25, 0.23, (252, 246, 226))


def _umbrella(brush: Brush, color: Color) -> None:
    brush.stroke([(0, 0.25), (0.1, -2.3)], INK, 0.08)
    brush.polygon(curve((0.1, -1.75), (1.05, 0.85), (180, 360)), color)
    for x in (-0.3, 0.45):
        brush.stroke([(0.1, -2.6), (x, -1.76)], shade(color, 0.7), 0.05)


def _lantern(brush: Brush, _: Color) -> None:
    brush.stroke([(0, 0), (0, 0.25)], INK, 0.07)
    brush.box(-0.25, 0.22, 0.25, 0.9, (255, 220, 110), 0.08)
    for y in (0.22, 0.9):
        brush.box(-0.3, y - 0.08, 0.3, y + 0.08, (70, 62, 60))


_THINGS: dict[str, Callable[[Brush, Color], None]] = {
    "balloon": _balloon,
    "book": _book,
    "flower": _flower,
    "sword": _sword,
    "ice cream": _ice_cream,
    "umbrella": _umbrella,
    "lantern": _lantern,
}
