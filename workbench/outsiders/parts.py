"""Twenty parts that no creature of the world has, each in any color, and the poses of a made-up character."""

from __future__ import annotations

from collections.abc import Callable

from ..pocket.world import WHITE, Color, Pen, darken

Part = Callable[[Pen, Color], None]
SIDES = (-1, 1)


def _crown(pen: Pen, color: Color) -> None:
    points = [(-0.6, -0.7), (-0.66, -1.45), (-0.3, -1.1), (0, -1.6), (0.3, -1.1), (0.66, -1.45), (0.6, -0.7)]
    pen.polygon(*points, fill=color, outline=darken(color))


def _top_hat(pen: Pen, color: Color) -> None:
    pen.box(-0.5, -1.55, 0.5, -0.8, fill=color)
    pen.box(-0.85, -0.9, 0.85, -0.72, fill=color)


def _halo(pen: Pen, color: Color) -> None:
    pen.draw.ellipse(pen.points((-0.7, -1.6), (0.7, -1.2)), outline=color, width=9)


def _mohawk(pen: Pen, color: Color) -> None:
    for x in (-0.4, -0.15, 0.1, 0.35):
        pen.polygon((x - 0.15, -0.75), (x + 0.05, -1.5), (x + 0.25, -0.75), fill=color)


def _flower(pen: Pen, color: Color) -> None:
    for x, y in ((-0.2, 0), (0.2, 0), (0, -0.2), (0, 0.2)):
        pen.ellipse(0.6 + x, -0.95 + y, 0.18, 0.18, fill=color)
    pen.ellipse(0.6, -0.95, 0.13, 0.13, fill=WHITE)


def _beak(pen: Pen, color: Color) -> None:
    pen.polygon((-0.25, 0.12), (0.25, 0.12), (0, 0.55), fill=color, outline=darken(color))


def _beard(pen: Pen, color: Color) -> None:
    pen.polygon((-0.55, 0.35), (0.55, 0.35), (0, 1.25), fill=color)


def _cheeks(pen: Pen, color: Color) -> None:
    for side in SIDES:
        pen.ellipse(side * 0.62, 0.2, 0.24, 0.24, fill=color)


def _mask(pen: Pen, color: Color) -> None:
    pen.box(-0.85, -0.45, 0.85, 0.05, fill=color)


def _glasses(pen: Pen, color: Color) -> None:
    for side in SIDES:
        pen.ellipse(side * 0.36, -0.2, 0.36, 0.36, fill=color, outline=darken(color))


def _stripes(pen: Pen, color: Color) -> None:
    for y in (0.48, 0.72):
        pen.box(-0.6, y, 0.6, y + 0.12, fill=color)


def _belt(pen: Pen, color: Color) -> None:
    pen.box(-0.75, 0.5, 0.75, 0.72, fill=color)
    pen.box(-0.14, 0.46, 0.14, 0.76, fill=WHITE)


def _bow(pen: Pen, color: Color) -> None:
    for side in SIDES:
        pen.polygon((0, 0.68), (side * 0.62, 0.46), (side * 0.62, 0.9), fill=color)
    pen.ellipse(0, 0.68, 0.15, 0.15, fill=darken(color))


def _scarf(pen: Pen, color: Color) -> None:
    pen.box(-0.85, 0.42, 0.85, 0.64, fill=color)
    pen.box(0.3, 0.6, 0.55, 1.2, fill=color)


def _star(pen: Pen, color: Color) -> None:
    points = [(0, 0.4), (0.12, 0.62), (0.36, 0.65), (0.18, 0.82), (0.24, 1.05), (0, 0.93)]
    pen.polygon(*points, *((-x, y) for x, y in reversed(points[1:5])), fill=color)


def _spots(pen: Pen, color: Color) -> None:
    for x, y in ((-0.5, 0.5), (0.1, 0.75), (0.55, 0.42), (-0.6, -0.55), (0.5, -0.6)):
        pen.ellipse(x, y, 0.14, 0.14, fill=color)


def _wings(pen: Pen, color: Color) -> None:
    for side in SIDES:
        pen.polygon((side * 0.6, 0.1), (side * 1.5, -0.7), (side * 1.4, 0.3), (side * 1.0, 0.5), fill=color)


def _fins(pen: Pen, color: Color) -> None:
    for side in SIDES:
        pen.polygon((side * 0.55, -0.1), (side * 1.25, -0.45), (side * 1.1, 0.3), fill=color)


def _boots(pen: Pen, color: Color) -> None:
    for side in SIDES:
        pen.box(side * 0.42 - 0.26, 1.05, side * 0.42 + 0.26, 1.4, fill=color)


def _shield(pen: Pen, color: Color) -> None:
    pen.polygon((0.6, 0.2), (1.3, 0.2), (1.3, 0.7), (0.95, 1.15), (0.6, 0.7), fill=color, outline=darken(color))


PARTS: dict[str, Part] = {
    "crown": _crown, "top hat": _top_hat, "halo": _halo, "mohawk": _mohawk, "flower": _flower, "beak": _beak,
    "beard": _beard, "cheeks": _cheeks, "mask": _mask, "glasses": _glasses, "stripes": _stripes, "belt": _belt,
    "bow": _bow, "scarf": _scarf, "star": _star, "spots": _spots, "wings": _wings, "fins": _fins, "boots": _boots,
    "shield": _shield,
}  # fmt: skip

POSES = ("arms up", "arms down", "arms out")


def draw_arms(pen: Pen, pose: str, color: Color) -> None:
    """Both arms in a pose of `POSES`."""
    ends = {"arms up": (1.15, -1.0), "arms down": (1.1, 0.95), "arms out": (1.5, 0.1)}[pose]
    for side in SIDES:
        start, end = pen.points((side * 0.8, 0.2), (side * ends[0], ends[1]))
        pen.draw.line([start, end], fill=color, width=14)
