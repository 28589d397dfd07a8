"""A pen on a picture of 128 pixels, drawn four times as large and then made smaller, so that edges are smooth.

Coordinates and widths are pixels of the finished picture: x right, y down, (0, 0) the upper left corner.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

SIZE_PX = 128
SUPERSAMPLING = 4

Color = tuple[int, int, int]
Point = tuple[float, float]


@dataclass(frozen=True)
class Line:
    """How an edge is drawn: no line where the width is 0."""

    color: Color = (20, 20, 20)
    width: float = 0.0


NO_LINE = Line()


class Pen:
    """Draws on one canvas; `finish` gives the picture."""

    def __init__(self, background: Color) -> None:
        side = SIZE_PX * SUPERSAMPLING
        self._canvas = Image.new("RGB", (side, side), background)
        self._draw = ImageDraw.Draw(self._canvas)

    def finish(self) -> Image.Image:
        """The picture, RGB 128x128."""
        return self._canvas.reduce(SUPERSAMPLING)

    def polygon(self, points: Sequence[Point], fill: Color | None, line: Line = NO_LINE) -> None:
        """A closed shape with rounded joints of its edge."""
        scaled = _scale(points)
        if fill is not None:
            self._draw.polygon(scaled, fill=fill)
        if line.width > 0:
            self._stroke([*scaled, *scaled[:2]], line)

    def line(self, points: Sequence[Point], line: Line) -> None:
        """An open line through the points, with round ends."""
        scaled = _scale(points)
        self._stroke(scaled, line)
        radius = line.width * SUPERSAMPLING / 2
        for x, y in (scaled[0], scaled[-1]):
            self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=line.color)

    def ellipse(self, center: Point, radii: Point, fill: Color | None, line: Line = NO_LINE) -> None:
        """An ellipse with half axes `radii`; its edge lies inside."""
        (x, y), (w, h) = center, radii
        box = _scale([(x - w, y - h), (x + w, y + h)])
        width = round(line.width * SUPERSAMPLING)
        self._draw.ellipse(box, fill=fill, outline=line.color if width else None, width=max(1, width))

    def box(self, corners: tuple[float, float, float, float], fill: Color, line: Line = NO_LINE) -> None:
        """A rectangle from (x0, y0) to (x1, y1)."""
        self.rounded(corners, 0, fill, line)

    def rounded(self, corners: tuple[float, ...], radius: float, fill: Color, line: Line = NO_LINE) -> None:
        """A rectangle with round corners."""
        x0, y0, x1, y1 = corners
        box, width = _scale([(x0, y0), (x1, y1)]), round(line.width * SUPERSAMPLING)
        outline = line.color if width else None
        self._draw.rounded_rectangle(box, radius * SUPERSAMPLING, fill=fill, outline=outline, width=max(1, width))

    def arc(self, center: Point, radii: Point, degrees: tuple[float, float], line: Line) -> None:
        """A part of an ellipse's edge; degrees run clockwise from the right."""
        self.line(curve(center, radii, degrees), line)

    def _stroke(self, scaled: Sequence[Point], line: Line) -> None:
        self._draw.line(scaled, fill=line.color, width=max(1, round(line.width * SUPERSAMPLING)), joint="curve")


def curve(center: Point, radii: Point, degrees: tuple[float, float], count: int = 14) -> list[Point]:
    """Points along a part of an ellipse's edge."""
    (x, y), (w, h), (start, end) = center, radii, degrees
    angles = [math.radians(start + (end - start) * index / (count - 1)) for index in range(count)]
    return [(x + w * math.cos(angle), y + h * math.sin(angle)) for angle in angles]


def shade(color: Color, factor: float) -> Color:
    """A darker color for factors below 1, a lighter one above (2 is white)."""
    if factor <= 1:
        return round(color[0] * factor), round(color[1] * factor), round(color[2] * factor)
    red, green, blue = (round(c + (255 - c) * (factor - 1)) for c in color)
    return red, green, blue


def _scale(points: Sequence[Point]) -> list[Point]:
    return [(x * SUPERSAMPLING, y * SUPERSAMPLING) for x, y in points]
