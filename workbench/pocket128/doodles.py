"""Drawings of anything for the VAE: shapes, faces, lines of 1 to 3 pixels and pixel blocks in any color on any color.

They mean nothing and have no captions; they keep the VAE from knowing the world's own colors and shapes alone.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable

from PIL import Image

from .pen import NO_LINE, SIZE_PX, Color, Line, Pen, Point, curve, shade

INK: Color = (16, 16, 18)
PAPER: Color = (245, 245, 245)
GROUNDS: tuple[Color, ...] = (
    PAPER,
    (24, 24, 28),
    (64, 170, 165),
    (130, 92, 60),
    (160, 205, 245),
    (232, 214, 170),
    (128, 132, 140),
)
SKINS: tuple[Color, ...] = ((255, 224, 196), (240, 190, 150), (205, 140, 95), (150, 95, 60), (92, 56, 38), (60, 38, 28))


def draw_doodle(rng: random.Random) -> Image.Image:
    """One drawing, RGB 128x128."""
    pen = Pen(_pick(rng, GROUNDS, 0.6))
    kinds: tuple[Callable[[Pen, random.Random], None], ...] = (_shapes, _strokes, _blocks, _face, _faces)
    for draw in rng.choices(kinds, (4, 3, 1, 5, 2), k=rng.choice((1, 1, 2))):
        draw(pen, rng)
    return pen.finish()


def any_color(rng: random.Random) -> Color:
    """Any color: gray, vivid, or whatever comes."""
    kind = rng.random()
    if kind < 0.15:
        gray = rng.randrange(256)
        return gray, gray, gray
    channels = [rng.randrange(256) for _ in range(3)]
    if kind < 0.5:
        channels[0], channels[1] = rng.randrange(190, 256), rng.randrange(0, 90)
        rng.shuffle(channels)
    return channels[0], channels[1], channels[2]


def _pick(rng: random.Random, colors: tuple[Color, ...], share: float) -> Color:
    return rng.choice(colors) if rng.random() < share else any_color(rng)


def _line(rng: random.Random, fill: Color) -> Line:
    kind = rng.random()
    if kind < 0.3:
        return NO_LINE
    color = INK if kind < 0.6 else shade(fill, rng.uniform(0.3, 0.8)) if kind < 0.85 else any_color(rng)
    return Line(color, rng.uniform(0.6, 3.0))


def _anywhere(rng: random.Random) -> Point:
    return rng.uniform(0, SIZE_PX), rng.uniform(0, SIZE_PX)


def _shapes(pen: Pen, rng: random.Random) -> None:
    for _ in range(rng.randint(2, 10)):
        _shape(pen, rng, _anywhere(rng), math.exp(rng.uniform(math.log(3), math.log(45))))


def _shape(pen: Pen, rng: random.Random, center: Point, size: float) -> None:
    fill = any_color(rng)
    line, (x, y) = _line(rng, fill), center
    w, h = size, size * rng.uniform(0.4, 1.4)
    kind = rng.choice(("ellipse", "box", "rounded", "star", "polygon"))
    if kind == "ellipse":
        pen.ellipse(center, (w, h), fill, line)
    elif kind in ("box", "rounded"):
        pen.rounded((x - w, y - h, x + w, y + h), 0 if kind == "box" else min(w, h) * 0.5, fill, line)
    else:
        count, inner = rng.randint(3, 7), rng.uniform(0.35, 0.8) if kind == "star" else 1.0
        turn = rng.uniform(0, math.tau)
        count *= 2 if kind == "star" else 1
        angles = [turn + math.tau * index / count for index in range(count)]
        radii = [inner if index % 2 else rng.uniform(0.85, 1.0) for index in range(count)]
        pen.polygon(
            [(x + w * r * math.cos(a), y + h * r * math.sin(a)) for a, r in zip(angles, radii, strict=True)],
            fill,
            line,
        )


def _strokes(pen: Pen, rng: random.Random) -> None:
    color = INK if rng.random() < 0.5 else any_color(rng)
    for _ in range(rng.randint(2, 12)):
        line = Line(color if rng.random() < 0.7 else any_color(rng), rng.choice((0.8, 1.0, 1.5, 2.0, 3.0)))
        if rng.random() < 0.5:
            radii = rng.uniform(3, 30), rng.uniform(3, 30)
            start = rng.uniform(0, 360)
            pen.arc(_anywhere(rng), radii, (start, start + rng.uniform(60, 300)), line)
        else:
            (x, y), reach = _anywhere(rng), rng.uniform(5, 50)
            steps = [(rng.uniform(-reach, reach), rng.uniform(-reach, reach)) for _ in range(rng.randint(1, 4))]
            pen.line([(x, y), *((x + dx, y + dy) for dx, dy in steps)], line)


def _blocks(pen: Pen, rng: random.Random) -> None:
    side, colors = rng.choice((3, 4, 6, 8)), [any_color(rng) for _ in range(rng.randint(2, 4))]
    x0, y0 = rng.randrange(0, 80), rng.randrange(0, 80)
    for row in range(rng.randint(3, 10)):
        for column in range(rng.randint(3, 10)):
            if rng.random() < 0.75:
                x, y = x0 + column * side, y0 + row * side
                pen.box((x, y, x + side, y + side), rng.choice(colors))


def _faces(pen: Pen, rng: random.Random) -> None:
    for _ in range(rng.randint(2, 4)):
        _head(pen, rng, _anywhere(rng), rng.uniform(10, 26))


def _face(pen: Pen, rng: random.Random) -> None:
    _head(pen, rng, (rng.uniform(45, 83), rng.uniform(50, 80)), rng.uniform(24, 52))


def _head(pen: Pen, rng: random.Random, center: Point, size: float) -> None:
    """A head with hair behind and before it, a neck with clothes, and a face."""
    (x, y), skin = center, _pick(rng, SKINS, 0.6)
    line, hair = _line(rng, skin), _pick(rng, (INK, (70, 45, 30), (235, 200, 110)), 0.5)
    hair_line = line if rng.random() < 0.7 else _line(rng, hair)
    if rng.random() < 0.5:
        pen.ellipse(
            (x, y + size * rng.uniform(-0.2, 0.4)), (size * 1.15, size * rng.uniform(1.0, 1.5)), hair, hair_line
        )
    cloth = any_color(rng)
    pen.rounded((x - size * 0.3, y, x + size * 0.3, y + size * 1.6), 3, shade(skin, 0.9), line)
    pen.rounded((x - size * 1.1, y + size * 1.3, x + size * 1.1, y + size * 3), size * 0.5, cloth, line)
    if rng.random() < 0.7:
        pen.ellipse(center, (size * rng.uniform(0.8, 1), size * rng.uniform(0.85, 1.15)), skin, line)
    else:
        pen.rounded((x - size * 0.9, y - size, x + size * 0.9, y + size), size * rng.uniform(0.1, 0.7), skin, line)
    if rng.random() < 0.75:
        _fringe(pen, rng, center, (size, hair, hair_line))
    _eyes(pen, rng, center, size)
    _mouth(pen, rng, (x, y + size * rng.uniform(0.4, 0.6)), size)
    if rng.random() < 0.5:
        nose = Line(shade(skin, 0.7) if rng.random() < 0.6 else INK, rng.uniform(0.8, 2))
        pen.arc((x, y + size * 0.2), (size * 0.1, size * 0.1), (rng.choice((0, 180, 270)), 400), nose)


def _fringe(pen: Pen, rng: random.Random, center: Point, look: tuple[float, Color, Line]) -> None:
    (x, y), (size, hair, line) = center, look
    if rng.random() < 0.4:
        for _ in range(rng.randint(3, 9)):
            at = x + rng.uniform(-0.9, 0.9) * size, y - rng.uniform(0.6, 1.1) * size
            pen.ellipse(at, (size * rng.uniform(0.2, 0.45), size * rng.uniform(0.2, 0.4)), hair, line)
        return
    low, count = rng.uniform(-0.5, -0.1), rng.randint(2, 6)
    top = curve(center, (size * 1.05, size * rng.uniform(1.05, 1.4)), (180, 360))
    teeth = []
    for index in range(count + 1):
        tip = low + rng.uniform(-0.3, 0.25) if index % 2 else low
        teeth.append((x + size * (1 - 2 * index / count), y + size * tip))
    pen.polygon([*top, *teeth], hair, line)


def _eyes(pen: Pen, rng: random.Random, center: Point, size: float) -> None:
    (x, y), gap, kind = center, size * rng.uniform(0.28, 0.48), rng.choice(("dot", "white", "white", "iris", "closed"))
    radius, tall = size * rng.uniform(0.09, 0.24), rng.uniform(0.8, 1.5)
    iris, ink = any_color(rng), INK if rng.random() < 0.8 else any_color(rng)
    edge = Line(ink, rng.choice((0.0, 0.0, 0.8, 1.5)))
    look = rng.uniform(-0.35, 0.35) * radius
    brow, tilt = Line(ink, rng.uniform(0.8, 2.6)), rng.uniform(-0.25, 0.25) * radius
    has_brows = rng.random() < 0.6
    for side in (-1, 1):
        at = x + side * gap, y
        if kind == "dot":
            pen.ellipse(at, (radius * 0.6, radius * 0.6 * tall), ink)
        elif kind == "closed":
            pen.arc(at, (radius, radius * 0.6), rng.choice(((10, 170), (190, 350))), Line(ink, rng.uniform(0.8, 2.4)))
        else:
            pen.ellipse(at, (radius, radius * tall), (255, 255, 255), edge)
            if kind == "iris":
                pen.ellipse((at[0] + look, y), (radius * 0.65, radius * 0.65), iris)
            pen.ellipse((at[0] + look, y), (radius * 0.38, radius * 0.38), ink)
        if has_brows:
            top = y - radius * tall * 1.5
            pen.line([(at[0] - radius, top - side * tilt), (at[0] + radius, top + side * tilt)], brow)


def _mouth(pen: Pen, rng: random.Random, at: Point, size: float) -> None:
    (x, y), w, h = at, size * rng.uniform(0.12, 0.4), size * rng.uniform(0.05, 0.25)
    line, kind = Line(INK if rng.random() < 0.7 else any_color(rng), rng.uniform(0.8, 2.6)), rng.random()
    if kind < 0.35:
        pen.arc(at, (w, h), (10, 170) if rng.random() < 0.7 else (190, 350), line)
    elif kind < 0.45:
        pen.line([(x - w, y), (x + w, y)], line)
    elif kind < 0.6:
        pen.ellipse(at, (w * 0.6, h), _pick(rng, (INK, (120, 20, 30), (190, 60, 70)), 0.8), line)
    else:
        lips = [*curve(at, (w, h * 1.5), (0, 180))]
        pen.polygon(lips, _pick(rng, (INK, (120, 20, 30), (190, 60, 70), (255, 255, 255)), 0.85), line)
        if rng.random() < 0.5:
            pen.box((x - w * 0.75, y, x + w * 0.75, y + h * 0.4), (255, 255, 255))
