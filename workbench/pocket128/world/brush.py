"""A pen in the figure's own units: (0, 0) is the middle of its head, 1 the head's radius."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..pen import NO_LINE, Color, Line, Pen, Point, curve, shade

INK: Color = (24, 22, 28)
WHITE: Color = (255, 255, 255)


@dataclass(frozen=True)
class Brush:
    """Draws shapes with the edges that the figure's lines ask for."""

    pen: Pen
    x: float
    y: float
    unit: float
    """Pixels of one unit."""
    lines: str

    def moved(self, x: float, y: float) -> Brush:
        """The same brush around another point."""
        return replace(self, x=self.x + x * self.unit, y=self.y + y * self.unit)

    def edge(self, fill: Color) -> Line:
        """The edge of a shape of this color."""
        if self.lines == "flat":
            return NO_LINE
        return Line(INK, 1.6) if self.lines == "inked" else Line(shade(fill, 0.62), 1.2)

    def ellipse(self, x: float, y: float, w: float, h: float, fill: Color, has_edge: bool = True) -> None:
        """A filled ellipse around (x, y) with half axes w and h."""
        edge = self.edge(fill) if has_edge else NO_LINE
        self.pen.ellipse(self._point((x, y)), (w * self.unit, h * self.unit), fill, edge)

    def polygon(self, points: Sequence[Point], fill: Color, has_edge: bool = True) -> None:
        """A filled shape."""
        self.pen.polygon([self._point(point) for point in points], fill, self.edge(fill) if has_edge else NO_LINE)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Color, radius: float = 0.0) -> None:
        """A filled rectangle, with round corners where `radius` is above 0."""
        corners = (*self._point((x0, y0)), *self._point((x1, y1)))
        self.pen.rounded(corners, radius * self.unit, fill, self.edge(fill))

    def stroke(self, points: Sequence[Point], color: Color, width: float) -> None:
        """A line without an edge; its width is in units and never below a pixel."""
        self.pen.line([self._point(point) for point in points], Line(color, max(1.0, width * self.unit)))

    def limb(self, points: Sequence[Point], color: Color, width: float) -> None:
        """A thick line with an edge around it."""
        if (edge := self.edge(color)).width:
            scaled = [self._point(point) for point in points]
            self.pen.line(scaled, Line(edge.color, width * self.unit + 2 * edge.width))
        self.stroke(points, color, width)

    def bow(self, x: float, y: float, w: float, h: float, degrees: tuple[float, float], color: Color) -> None:
        """A thin curved line: a part of an ellipse's edge."""
        self.stroke(curve((x, y), (w, h), degrees), color, 0.07)

    def _point(self, point: Point) -> Point:
        return self.x + point[0] * self.unit, self.y + point[1] * self.unit
