"""Eyes, brows, mouth and nose: what an expression is made of."""

from __future__ import annotations

from ..pen import Color, curve, shade
from .brush import INK, WHITE, Brush
from .figure import COLORS, Figure

MOUTH: Color = (126, 32, 44)
TONGUE: Color = (232, 112, 120)
BLUSH: Color = (240, 140, 140)


def draw_face(brush: Brush, figure: Figure, skin: Color) -> None:
    """The face on a head of radius 1."""
    is_dark = sum(skin) < 260
    ink = shade(skin, 1.75) if is_dark and not figure.is_person else INK
    count = figure.num_eyes
    gap, y = (0.44, 0.08) if count < 3 else (0.5, 0.02)
    if figure.kind == "girl":
        for side in (-1, 1):
            brush.ellipse(side * 0.66, 0.42, 0.16, 0.1, BLUSH, has_edge=False)
    for index in range(count):
        side = (index - (count - 1) / 2) * 2 / max(1, count - 1)
        _draw_eye(brush.moved(side * gap, y), figure, ink, side)
    if figure.has_glasses:
        _draw_glasses(brush, gap, y, count)
    if figure.kind in ("cat", "dog", "bear", "fox", "rabbit"):
        brush.ellipse(0, 0.38, 0.13, 0.09, ink, has_edge=False)
    elif figure.is_person:
        brush.bow(0, 0.28, 0.07, 0.06, (20, 160), shade(skin, 0.62))
    _draw_mouth(brush.moved(0, 0.56), figure.expression, ink)


def _draw_eye(brush: Brush, figure: Figure, ink: Color, side: float) -> None:
    expression = figure.expression
    if figure.kind == "girl":
        outside = 1 if side > 0 else -1
        brush.stroke([(outside * 0.17, -0.12), (outside * 0.34, -0.2)], ink, 0.07)
        brush.stroke([(outside * 0.2, 0.0), (outside * 0.36, -0.04)], ink, 0.07)
    if expression == "sleeping" or (expression == "winking" and side > 0):
        brush.bow(0, -0.02, 0.19, 0.14, (10, 170), ink)
        return
    if expression == "laughing":
        brush.bow(0, 0.08, 0.19, 0.2, (190, 350), ink)
        return
    width, height = (0.23, 0.27) if expression == "surprised" else (0.2, 0.24)
    brush.ellipse(0, 0, width + 0.03, height + 0.03, INK, has_edge=False)
    brush.ellipse(0, 0, width, height, WHITE, has_edge=False)
    brush.ellipse(0, 0.03, 0.14, 0.17, COLORS[figure.eye_color], has_edge=False)
    brush.ellipse(0, 0.04, 0.07, 0.09, INK, has_edge=False)
    brush.ellipse(-0.05, -0.05, 0.045, 0.05, WHITE, has_edge=False)
    _draw_brow(brush.moved(0, -height), figure, ink, side)


def _draw_brow(brush: Brush, figure: Figure, ink: Color, side: float) -> None:
    expression = figure.expression
    tilt = {"angry": 0.11, "sad": -0.1}.get(expression, 0.0) * (1 if side >= 0 else -1)
    height = {"surprised": -0.2, "angry": -0.02}.get(expression, -0.12)
    brush.stroke([(-0.18, height + tilt), (0.18, height - tilt)], ink, 0.11 if figure.kind == "boy" else 0.07)


def _draw_glasses(brush: Brush, gap: float, y: float, count: int) -> None:
    places = [-gap, gap] if count != 1 else [0.0]
    for x in places:
        brush.stroke(curve((x, y), (0.32, 0.32), (0, 360), 24), INK, 0.07)
    brush.stroke([(places[0] + 0.32, y), (places[-1] - 0.32, y)], INK, 0.07)


def _draw_mouth(brush: Brush, expression: str, ink: Color) -> None:
    if expression in ("smiling", "winking"):
        brush.bow(0, -0.06, 0.26, 0.2, (15, 165), ink)
    elif expression == "laughing":
        brush.polygon(curve((0, -0.06), (0.34, 0.36), (0, 180)), MOUTH, has_edge=False)
        brush.polygon(curve((0, 0.2), (0.18, 0.1), (180, 360)), TONGUE, has_edge=False)
        brush.polygon([(-0.3, -0.06), (0.3, -0.06), (0.26, 0.03), (-0.26, 0.03)], WHITE, has_edge=False)
    elif expression == "sad":
        brush.bow(0, 0.16, 0.22, 0.16, (200, 340), ink)
    elif expression == "angry":
        brush.polygon([(-0.24, -0.04), (0.24, -0.04), (0.2, 0.12), (-0.2, 0.12)], WHITE)
        brush.stroke([(-0.24, 0.04), (0.24, 0.04)], ink, 0.05)
    elif expression == "surprised":
        brush.ellipse(0, 0.06, 0.14, 0.2, MOUTH, has_edge=False)
    elif expression == "sleeping":
        brush.ellipse(0, 0.04, 0.08, 0.06, MOUTH, has_edge=False)
    else:
        brush.stroke([(-0.17, 0.02), (0.17, 0.02)], ink, 0.07)
