"""Backgrounds: a plain color, or a scene. Coordinates are pixels of the picture."""

from __future__ import annotations

import random
from collections.abc import Callable

from ..pen import NO_LINE, SIZE_PX, Color, Line, Pen, shade
from .figure import COLORS, Figure

GREEN: Color = (108, 178, 84)
SKY: Color = (166, 212, 246)
WHITE: Color = (250, 250, 250)


def start_picture(figure: Figure) -> Pen:
    """A pen on the figure's background."""
    if not figure.scene:
        return Pen(COLORS[figure.ground_color])
    sky, draw = _SCENES[figure.scene]
    pen = Pen(sky)
    draw(pen, random.Random(f"scene-{figure.seed}"))
    return pen


def _ground(pen: Pen, y: float, color: Color) -> None:
    pen.box((0, y, SIZE_PX, SIZE_PX), color)


def _cloud(pen: Pen, x: float, y: float) -> None:
    for dx, dy, radius in ((-8, 1, 5), (0, -2, 7), (8, 1, 5)):
        pen.ellipse((x + dx, y + dy), (radius + 2, radius), WHITE)


def _night(pen: Pen, rng: random.Random) -> None:
    for _ in range(rng.randint(12, 20)):
        radius = rng.uniform(0.6, 1.2)
        pen.ellipse((rng.uniform(2, 126), rng.uniform(2, 86)), (radius, radius), (255, 246, 200))
    x, y = rng.choice((22, 104)), rng.uniform(16, 26)
    pen.ellipse((x, y), (11, 11), (250, 238, 180))
    pen.ellipse((x + 5, y - 3), (10, 10), (30, 34, 72))
    _ground(pen, 104, (40, 62, 60))


def _beach(pen: Pen, rng: random.Random) -> None:
    pen.ellipse((rng.choice((20, 106)), rng.uniform(14, 24)), (10, 10), (255, 224, 90))
    pen.box((0, 62, SIZE_PX, 100), (58, 140, 200))
    for y in (68, 76, 86):
        x = rng.uniform(0, 90)
        pen.line([(x, y), (x + rng.uniform(12, 30), y)], Line(WHITE, 1.2))
    _ground(pen, 92, (240, 220, 168))


def _forest(pen: Pen, rng: random.Random) -> None:
    _ground(pen, 98, (86, 140, 70))
    for x in (6, 26, 102, 122, rng.uniform(40, 88)):
        top, green = rng.uniform(14, 34), shade((46, 116, 62), rng.uniform(0.75, 1.1))
        pen.box((x - 3, 74, x + 3, 106), (104, 74, 48))
        for step in range(3):
            y, wide = top + step * 18, 12 + 4 * step
            pen.polygon([(x - wide, y + 28), (x, y), (x + wide, y + 28)], green, Line(shade(green, 0.75), 0.8))


def _room(pen: Pen, rng: random.Random) -> None:
    _ground(pen, 98, (176, 124, 80))
    pen.box((0, 95, SIZE_PX, 99), (250, 244, 232))
    x = rng.choice((8, 84))
    pen.box((x, 14, x + 36, 54), WHITE)
    pen.box((x + 3, 17, x + 33, 51), SKY)
    pen.box((x + 16.5, 17, x + 19.5, 51), WHITE)
    pen.box((x + 3, 32.5, x + 33, 35.5), WHITE)
    frame, picture = 92 - x, rng.choice(((214, 90, 90), (90, 130, 200), (110, 160, 90)))
    pen.box((frame, 20, frame + 26, 42), (120, 84, 52))
    pen.box((frame + 3, 23, frame + 23, 39), picture)


def _snow(pen: Pen, rng: random.Random) -> None:
    _ground(pen, 94, WHITE)
    for x in (12, 114):
        pen.polygon([(x - 14, 98), (x, 40), (x + 14, 98)], (70, 124, 110))
        pen.polygon([(x - 5, 60), (x, 40), (x + 5, 60)], WHITE)
    for _ in range(rng.randint(20, 30)):
        radius = rng.uniform(0.9, 1.8)
        pen.ellipse((rng.uniform(0, 128), rng.uniform(0, 96)), (radius, radius), WHITE)


def _meadow(pen: Pen, rng: random.Random) -> None:
    for _ in range(2):
        _cloud(pen, rng.uniform(12, 116), rng.uniform(12, 36))
    pen.ellipse((rng.uniform(20, 50), 112), (80, 36), shade(GREEN, 0.9))
    _ground(pen, 96, GREEN)
    for _ in range(rng.randint(8, 14)):
        x, y = rng.uniform(3, 125), rng.uniform(100, 126)
        pen.ellipse((x, y), (1.8, 1.8), rng.choice(((250, 220, 80), (240, 120, 140), WHITE)))


def _city(pen: Pen, rng: random.Random) -> None:
    x = -4.0
    while x < SIZE_PX:
        wide, top = rng.uniform(18, 28), rng.uniform(16, 56)
        wall = rng.choice(((150, 140, 160), (178, 128, 110), (120, 140, 160)))
        pen.box((x, top, x + wide, 104), wall, Line(shade(wall, 0.7), 1.0))
        for row in range(int((92 - top) // 12)):
            for left in (x + 4, x + wide - 8):
                pen.box((left, top + 6 + row * 12, left + 5, top + 12 + row * 12), (250, 232, 150), NO_LINE)
        x += wide
    _ground(pen, 104, (110, 112, 118))


_SCENES: dict[str, tuple[Color, Callable[[Pen, random.Random], None]]] = {
    "night": ((30, 34, 72), _night),
    "beach": (SKY, _beach),
    "forest": ((196, 224, 200), _forest),
    "room": ((226, 206, 178), _room),
    "snow": ((186, 206, 226), _snow),
    "meadow": (SKY, _meadow),
    "city": ((210, 216, 232), _city),
}
