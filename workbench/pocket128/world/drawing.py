"""The picture of a figure, RGB 128x128: the place, then the figure from back to front."""

from __future__ import annotations

from PIL import Image

from ..pen import Pen
from .body import POSES, draw_body
from .brush import Brush
from .face import draw_face
from .figure import Figure
from .hair import draw_behind_body, draw_fringe
from .hats import draw_hat
from .head import draw_head, skin_of
from .places import start_picture
from .things import draw_thing

FULL_UNIT, FULL_HEAD = 22.0, (64.0, 42.0)
PORTRAIT_UNIT, PORTRAIT_HEAD = 37.0, (64.0, 68.0)
"""Pixels of the head's radius, and where the head is."""
SITTING_DROP = 10.0


def draw_figure(figure: Figure) -> Image.Image:
    """The picture; the same figure gives the same bits."""
    pen = start_picture(figure)
    brush = _brush(pen, figure)
    draw_behind_body(brush, figure)
    draw_body(brush, figure)
    draw_head(brush, figure)
    draw_face(brush, figure, skin_of(figure))
    if figure.is_person:
        draw_fringe(brush, figure)
    if figure.hat:
        draw_hat(brush, figure)
    if figure.thing:
        draw_thing(brush.moved(*POSES[figure.pose].holding_hand), figure)
    return pen.finish()


def _brush(pen: Pen, figure: Figure) -> Brush:
    unit, (x, y) = (PORTRAIT_UNIT, PORTRAIT_HEAD) if figure.is_portrait else (FULL_UNIT, FULL_HEAD)
    drop = SITTING_DROP if figure.pose == "sitting" else 0.0
    return Brush(pen, x + figure.shift[0], y + figure.shift[1] + drop, unit * figure.size, figure.lines)
