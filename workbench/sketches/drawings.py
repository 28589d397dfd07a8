"""The sketches themselves: outlines in units of a hundredth of the side, x to the right, y down."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import ImageDraw

INK, PAPER = (40, 40, 46), (250, 249, 246)
SKIN, CLOTH, ODD, METAL = (247, 220, 200), (120, 150, 200), (226, 140, 90), (175, 182, 192)
Color = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Oval:
    """Center and half axes."""

    x: float
    y: float
    w: float
    h: float
    fill: Color = SKIN


@dataclass(frozen=True, slots=True)
class Shape:
    """A filled outline."""

    points: Sequence[tuple[float, float]]
    fill: Color = CLOTH


@dataclass(frozen=True, slots=True)
class Line:
    """A stroke."""

    points: Sequence[tuple[float, float]]
    width: float = 1.6


Part = Oval | Shape | Line


@dataclass(frozen=True, slots=True)
class Sketch:
    """Parts, the hindmost first."""

    parts: tuple[Part, ...]

    def on(self, draw: ImageDraw.ImageDraw, unit: float) -> None:
        """Draw it; `unit` is pixels per hundredth of the side."""
        for part in self.parts:
            if isinstance(part, Oval):
                box = (part.x - part.w, part.y - part.h, part.x + part.w, part.y + part.h)
                draw.ellipse([value * unit for value in box], part.fill, INK, round(1.2 * unit))
                continue
            points = [(x * unit, y * unit) for x, y in part.points]
            if isinstance(part, Shape):
                draw.polygon(points, part.fill)
                points.append(points[0])
            width = part.width if isinstance(part, Line) else 1.2
            draw.line(points, INK, round(width * unit), "curve")


def _eyes(x: float, y: float, apart: float = 5, size: float = 1.4) -> tuple[Part, ...]:
    return (Oval(x - apart, y, size, size * 1.4, INK), Oval(x + apart, y, size, size * 1.4, INK))


def _person(hair: Color = (110, 80, 60), cloth: Color = CLOTH, skin: Color = SKIN) -> tuple[Part, ...]:
    """Hair, legs, arms, dress, head, face."""
    return (
        Oval(50, 32, 16, 18, hair),
        Line([(45, 72), (44, 92)], 3), Line([(55, 72), (56, 92)], 3),
        Line([(43, 52), (31, 68)], 3), Line([(57, 52), (69, 68)], 3),
        Shape([(44, 46), (56, 46), (66, 76), (34, 76)], cloth), Oval(50, 34, 12, 13, skin),
        *_eyes(50, 35), Line([(47, 41), (50, 42.5), (53, 41)], 1),
    )  # fmt: skip


_WINGS = (
    Shape([(44, 50), (14, 28), (10, 52), (20, 66), (42, 60)], METAL),
    Shape([(56, 50), (86, 28), (90, 52), (80, 66), (58, 60)], METAL),
)
_TAIL = Line([(60, 74), (80, 84), (88, 70), (82, 62)], 3)
_SPIKES = (
    Shape([(36, 26), (28, 10), (46, 20), (50, 4), (54, 20), (72, 10), (64, 26)], (120, 200, 150)),
    Shape([(38, 46), (30, 40), (40, 56)], ODD), Shape([(62, 46), (70, 40), (60, 56)], ODD),
)  # fmt: skip

DRAWINGS: dict[str, Sketch] = {
    "A": Sketch(_person()),
    "B": Sketch((*_person((120, 200, 150), ODD), *_SPIKES, Oval(45, 35, 2.4, 3.2, (220, 60, 70)))),
    "C": Sketch(
        (
            *_WINGS, _TAIL, *_person((235, 235, 240), METAL), Shape([(41, 20), (36, 6), (47, 16)], ODD),
            Shape([(59, 20), (64, 6), (53, 16)], ODD), Line([(38, 62), (62, 62)]), Line([(36, 70), (64, 70)]),
        )
    ),
    "D": Sketch(
        (
            _TAIL, *_person(ODD, CLOTH, ODD), Shape([(38, 26), (34, 8), (49, 20)], ODD),
            Shape([(62, 26), (66, 8), (51, 20)], ODD), Oval(50, 40, 6, 4.5, SKIN), Oval(50, 38, 1.6, 1.2, INK),
        )
    ),
    "E": Sketch(
        (
            Line([(42, 70), (30, 92)], 3), Line([(50, 72), (50, 94)], 3), Line([(58, 70), (70, 92)], 3),
            Line([(36, 48), (16, 40), (10, 52)], 3), Line([(36, 56), (16, 64), (12, 76)], 3),
            Line([(64, 48), (84, 40), (90, 52)], 3), Line([(64, 56), (84, 64), (88, 76)], 3),
            Shape([(36, 40), (64, 40), (62, 72), (38, 72)], CLOTH), Oval(50, 24, 20, 15, ODD),
            Oval(50, 22, 7, 8, (250, 250, 250)), Oval(50, 22, 2.6, 4, INK), Line([(40, 33), (60, 33)], 1.4),
        )
    ),
    "F": Sketch(
        (
            Shape([(52, 46), (40, 12), (70, 20), (84, 40), (66, 50)], ODD),
            Line([(70, 66), (90, 78), (94, 62)], 4), Line([(40, 74), (38, 90)], 4), Line([(64, 74), (66, 90)], 4),
            Oval(52, 62, 24, 15, (110, 170, 120)), Shape([(34, 60), (20, 34), (32, 28), (46, 52)], (110, 170, 120)),
            Shape([(34, 24), (20, 22), (6, 36), (10, 42), (34, 40)], (110, 170, 120)), Oval(22, 30, 2, 2.4, INK),
            Shape([(32, 24), (42, 10), (36, 30)], SKIN),
        )
    ),
    "G": Sketch(
        (
            Line([(40, 66), (24, 76), (20, 94)], 3), Line([(44, 68), (38, 94)], 3), Line([(56, 68), (62, 94)], 3),
            Line([(60, 66), (76, 76), (80, 94)], 3), Shape([(22, 36), (34, 34), (30, 68), (18, 68)], METAL),
            Shape([(66, 34), (78, 36), (82, 68), (70, 68)], METAL),
            Shape([(34, 32), (66, 32), (60, 68), (40, 68)], METAL),
            Shape([(42, 12), (58, 12), (62, 30), (38, 30)], ODD),
            Line([(42, 21), (58, 21)], 3), Oval(50, 46, 6, 6, (90, 200, 230)),
        )
    ),
    "H": Sketch(
        (
            *(Line([(30 + 11 * n, 60), (20 + 13 * n, 44), (14 + 15 * n, 86)], 1.6) for n in range(5)),
            Oval(68, 56, 22, 16, (90, 110, 70)), Oval(42, 58, 14, 11, (90, 110, 70)), Oval(24, 56, 10, 9, (60, 70, 50)),
            Oval(18, 53, 4, 4, ODD), Line([(20, 48), (12, 30), (4, 28)]), Line([(26, 48), (24, 26), (16, 18)]),
            Line([(56, 46), (60, 68)], 1.2), Line([(68, 41), (70, 71)], 1.2),
        )
    ),
    "I": Sketch(
        (
            Oval(50, 50, 40, 12, PAPER), Oval(50, 50, 12, 40, PAPER),
            Shape([(50, 22), (74, 50), (50, 78), (26, 50)], (150, 120, 200)),
            Shape([(50, 34), (64, 50), (50, 66), (36, 50)], (90, 200, 230)),
            *(Oval(x, y, 3.4, 3.4, ODD) for x, y in ((10, 50), (90, 50), (50, 10), (50, 90), (72, 26), (26, 72))),
            Oval(50, 50, 4, 7, (250, 250, 250)), Oval(50, 50, 1.8, 4.5, INK),
        )
    ),
}  # fmt: skip
"""By grade."""
