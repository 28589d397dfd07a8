"""The head without its face."""

from __future__ import annotations

from ..pen import Color, shade
from .brush import Brush
from .ears import EARS
from .figure import COLORS, HAIR_COLORS, SKINS, Figure
from .hair import HAIR_BEHIND


def skin_of(figure: Figure) -> Color:
    """The color of face and hands."""
    return (SKINS if figure.is_person else COLORS)[figure.color]


def draw_head(brush: Brush, figure: Figure) -> None:
    """The head without its face."""
    skin = skin_of(figure)
    if figure.is_person:
        if figure.hairstyle in HAIR_BEHIND:
            HAIR_BEHIND[figure.hairstyle](brush, HAIR_COLORS[figure.hair_color])
        for side in (-1, 1):
            brush.ellipse(side * 0.95, 0.15, 0.16, 0.2, skin)
        brush.ellipse(0, 0, 0.97, 0.98, skin)
        return
    EARS[figure.kind](brush, skin)
    if figure.kind == "robot":
        brush.box(-0.95, -0.85, 0.95, 0.9, skin, 0.15)
        return
    brush.ellipse(0, 0, 1.05, 0.95, skin)
    if figure.kind in ("cat", "dog", "bear", "fox", "rabbit"):
        brush.ellipse(0, 0.5, 0.46, 0.34, shade(skin, 1.55), has_edge=False)
