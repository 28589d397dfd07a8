"""What is worn on a head of radius 1."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..pen import Color, curve, shade
from .brush import Brush
from .figure import COLORS, Figure

GOLD: Color = (255, 206, 40)


def draw_hat(brush: Brush, figure: Figure) -> None:
    """What is worn on the head."""
    color = COLORS.get(figure.hat_color, GOLD)
    _HATS[figure.hat](brush, color)


def _cap(brush: Brush, color: Color) -> None:
    brush.polygon([*curve((0, -0.45), (1.02, 0.75), (180, 360))], color)
    brush.polygon([(-0.2, -0.6), (1.45, -0.5), (1.5, -0.32), (-0.2, -0.4)], shade(color, 0.75))


def _beanie(brush: Brush, color: Color) -> None:
    brush.polygon([*curve((0, -0.4), (1.03, 0.95), (180, 360))], color)
    brush.box(-1.08, -0.62, 1.08, -0.36, shade(color, 0.75), 0.1)
    brush.ellipse(0, -1.38, 0.2, 0.2, shade(color, 1.4))


def _crown(brush: Brush, color: Color) -> None:
    tips = [(-0.7, -0.62), (-0.8, -1.4), (-0.4, -1.02), (0, -1.5), (0.4, -1.02), (0.8, -1.4), (0.7, -0.62)]
    brush.polygon(tips, color)
    brush.ellipse(0, -0.82, 0.1, 0.1, (214, 48, 49), has_edge=False)


def _top_hat(brush: Brush, color: Color) -> None:
    brush.box(-0.65, -1.75, 0.65, -0.6, color, 0.06)
    brush.box(-1.1, -0.72, 1.1, -0.52, color, 0.08)


def _bow(brush: Brush, color: Color) -> None:
    at = brush.moved(0.55, -0.85)
    for side in (-1, 1):
        at.polygon([(0, 0), (side * 0.5, -0.32), (side * 0.5, 0.3)], color)
    at.ellipse(0, 0, 0.14, 0.14, shade(color, 0.8))


def _flower(brush: Brush, color: Color) -> None:
    draw_blossom(brush.moved(0.65, -0.75), color, 1.0)


def draw_blossom(brush: Brush, color: Color, size: float) -> None:
    """A flower of five petals around the brush's own point."""
    for index in range(5):
        angle = math.radians(72 * index - 90)
        brush.ellipse(0.2 * size * math.cos(angle), 0.2 * size * math.sin(angle), 0.17 * size, 0.17 * size, color)
    brush.ellipse(0, 0, 0.12 * size, 0.12 * size, GOLD, has_edge=False)


def _headphones(brush: Brush, color: Color) -> None:
    brush.stroke(curve((0, 0), (1.08, 1.12), (190, 350), 24), shade(color, 0.7), 0.14)
    for side in (-1, 1):
        brush.box(side * 1.08 - 0.17, -0.25, side * 1.08 + 0.17, 0.4, color, 0.12)


_HATS: dict[str, Callable[[Brush, Color], None]] = {
    "cap": _cap,
    "beanie": _beanie,
    "crown": _crown,
    "top hat": _top_hat,
    "bow": _bow,
    "flower": _flower,
    "headphones": _headphones,
}
