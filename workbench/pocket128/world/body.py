"""Bodies in clothes, their arms and legs as the pose asks, in the head's units; the neck is at y = 0.85."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..pen import Color, Point, shade
from .brush import INK, WHITE, Brush
from .figure import BARE, COLORS, Figure
from .head import skin_of

SHOES: Color = (60, 52, 56)
CRATE: Color = (176, 128, 78)


@dataclass(frozen=True)
class Limbs:
    """Where a pose puts elbows and hands, knees and feet: left, then right, as they are seen."""

    arms: tuple[tuple[Point, Point], tuple[Point, Point]]
    legs: tuple[tuple[Point, Point], tuple[Point, Point]]

    @property
    def holding_hand(self) -> Point:
        """The hand on the right of the picture."""
        return self.arms[1][1]


_DOWN = ((-0.85, 1.6), (-0.9, 2.1)), ((0.85, 1.6), (0.9, 2.1))
_STRAIGHT = ((-0.32, 2.9), (-0.34, 3.4)), ((0.32, 2.9), (0.34, 3.4))
POSES: dict[str, Limbs] = {
    "standing": Limbs(_DOWN, _STRAIGHT),
    "waving": Limbs((((-1.1, 1.2), (-1.4, 0.3)), _DOWN[1]), _STRAIGHT),
    "arms up": Limbs((((-1.1, 1.0), (-1.35, 0.05)), ((1.1, 1.0), (1.35, 0.05))), _STRAIGHT),
    "hands on hips": Limbs((((-1.25, 1.6), (-0.55, 2.05)), ((1.25, 1.6), (0.55, 2.05))), _STRAIGHT),
    "sitting": Limbs(_DOWN, (((-0.5, 2.45), (-0.52, 2.95)), ((0.5, 2.45), (0.52, 2.95)))),
    "running": Limbs(
        (((-1.05, 1.5), (-1.15, 0.95)), ((1.0, 1.55), (1.4, 1.9))),
        (((-0.75, 2.65), (-1.25, 2.95)), ((0.55, 2.75), (0.75, 3.35))),
    ),
}


def draw_body(brush: Brush, figure: Figure) -> None:
    """Legs, trunk, clothes and arms, in this order."""
    limbs, skin = POSES[figure.pose], skin_of(figure)
    cloth = COLORS.get(figure.cloth_color, skin)
    if figure.pose == "sitting":
        brush.box(-0.95, 2.2, 0.95, 3.1, CRATE)
        brush.stroke([(-0.9, 2.65), (0.9, 2.65)], shade(CRATE, 0.7), 0.06)
    _draw_legs(brush, figure, limbs, cloth)
    brush.box(-0.22, 0.7, 0.22, 1.1, shade(skin, 0.88))
    _draw_trunk(brush, figure, skin, cloth)
    sleeve = {BARE: skin, "overalls": WHITE}.get(figure.clothes, cloth)
    for side, (elbow, hand) in zip((-1, 1), limbs.arms, strict=True):
        brush.limb([(side * 0.52, 1.15), elbow, hand], sleeve, 0.3)
        brush.ellipse(*hand, 0.19, 0.19, skin)


def _draw_legs(brush: Brush, figure: Figure, limbs: Limbs, cloth: Color) -> None:
    skin = skin_of(figure)
    color = {"overalls": cloth, BARE: skin, "dress": skin}.get(figure.clothes, shade(cloth, 0.55))
    shoe = shade(skin, 0.7) if figure.clothes == BARE else SHOES
    for side, (knee, foot) in zip((-1, 1), limbs.legs, strict=True):
        brush.limb([(side * 0.3, 2.2), knee, foot], color, 0.34)
        brush.ellipse(foot[0] + side * 0.08, foot[1] + 0.1, 0.28, 0.17, shoe)


def _draw_trunk(brush: Brush, figure: Figure, skin: Color, cloth: Color) -> None:
    if figure.clothes in _LONG:
        _LONG[figure.clothes](brush, cloth)
        return
    base = {BARE: skin, "overalls": WHITE}.get(figure.clothes, cloth)
    brush.box(-0.66, 0.92, 0.66, 2.4, base, 0.25)
    if figure.clothes == BARE:
        brush.ellipse(0, 1.7, 0.4, 0.5, shade(skin, 1.45), has_edge=False)
    elif figure.clothes in _ON_SHIRT:
        _ON_SHIRT[figure.clothes](brush, cloth)


def _dress(brush: Brush, cloth: Color) -> None:
    brush.polygon([(-0.5, 0.95), (0.5, 0.95), (0.62, 1.7), (1.05, 2.65), (-1.05, 2.65), (-0.62, 1.7)], cloth)
    brush.stroke([(-0.6, 1.7), (0.6, 1.7)], shade(cloth, 0.65), 0.1)


def _coat(brush: Brush, cloth: Color) -> None:
    brush.polygon([(-0.6, 0.95), (0.6, 0.95), (0.85, 2.75), (-0.85, 2.75)], cloth)
    brush.stroke([(0, 1.0), (0, 2.7)], shade(cloth, 0.55), 0.07)
    for y in (1.4, 1.8, 2.2):
        brush.ellipse(0.16, y, 0.07, 0.07, (255, 206, 40), has_edge=False)


def _stripes(brush: Brush, cloth: Color) -> None:
    other = WHITE if sum(cloth) < 600 else INK
    for y in (1.2, 1.55, 1.9):
        brush.polygon([(-0.6, y), (0.6, y), (0.6, y + 0.17), (-0.6, y + 0.17)], other, has_edge=False)


def _hood(brush: Brush, cloth: Color) -> None:
    brush.stroke([(-0.4, 1.0), (0, 1.3), (0.4, 1.0)], shade(cloth, 0.65), 0.14)
    brush.box(-0.36, 1.75, 0.36, 2.15, shade(cloth, 0.82), 0.1)


def _bib(brush: Brush, cloth: Color) -> None:
    brush.box(-0.66, 1.75, 0.66, 2.45, cloth, 0.1)
    brush.box(-0.4, 1.35, 0.4, 1.85, cloth)
    for side in (-1, 1):
        brush.stroke([(side * 0.34, 1.4), (side * 0.38, 0.98)], shade(cloth, 0.8), 0.13)


_LONG: dict[str, Callable[[Brush, Color], None]] = {"dress": _dress, "coat": _coat}
_ON_SHIRT: dict[str, Callable[[Brush, Color], None]] = {"striped shirt": _stripes, "hoodie": _hood, "overalls": _bib}
