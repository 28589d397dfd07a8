"""Draws the pack's icon and banner: a loaf with model, CLIP and VAE linked into it and a LoRA coming out."""

from collections.abc import Sequence
from math import copysign, cos, pi, sin

from PIL import Image, ImageDraw

from ..demo.picture import font

SCALE = 4
NIGHT, OVEN = (38, 33, 46), (92, 52, 38)
CRUST, BREAD, SHINE, FLOUR = (158, 84, 36), (214, 138, 66), (233, 168, 96), (253, 233, 196)
MODEL, CLIP, VAE, LORA = (179, 157, 219), (255, 213, 0), (255, 110, 110), (129, 199, 132)
LINKS = ((25, MODEL), (45, CLIP), (65, VAE))
"""Height where a link begins, in hundredths of the picture's height, and the color of its socket in ComfyUI."""
Point = tuple[float, float]


def draw_icon() -> Image.Image:
    """400 x 400 pixels, the size that the registry shows."""
    return _picture(400, 400, 50, "")


def draw_banner() -> Image.Image:
    """1260 x 540 pixels (21:9) with the name."""
    return _picture(1260, 540, 64, "LoRA Bakery")


def _picture(width: int, height: int, middle: float, name: str) -> Image.Image:
    """Background, links, loaf, name; `middle` is the x of the loaf in hundredths of the height."""
    unit = height * SCALE / 100
    large = Image.linear_gradient("L").resize((width * SCALE, height * SCALE))
    large = Image.composite(Image.new("RGB", large.size, OVEN), Image.new("RGB", large.size, NIGHT), large)
    draw = ImageDraw.Draw(large)
    for y, color in LINKS:
        _link(draw, [(middle - 43, y), (middle - 18, 55)], color, unit)
    _link(draw, [(middle + 43, 45), (middle + 18, 55)], LORA, unit)
    _loaf(draw, middle, 55, unit)
    if name:
        draw.text(((middle + 58) * unit, 45 * unit), name, FLOUR, font(round(17 * unit)), anchor="lm")
        says = "Train LoRAs in the graph that generates"
        draw.text(((middle + 58.5) * unit, 62 * unit), says, SHINE, font(round(5.4 * unit)), anchor="lm")
    return large.resize((width, height), Image.Resampling.LANCZOS)


def _link(draw: ImageDraw.ImageDraw, ends: Sequence[Point], color: tuple[int, int, int], unit: float) -> None:
    """A noodle with a socket where it begins: level at both ends."""
    (x0, y0), (x1, y1) = ends
    for step in range(200):
        t = step / 199
        x, y = x0 + (x1 - x0) * t, y0 + (y1 - y0) * (1 - cos(pi * t)) / 2
        _dot(draw, x, y, 1.3, color, unit)
    _dot(draw, x0, y0, 4, color, unit)


def _dot(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, color: tuple[int, int, int], unit: float) -> None:
    draw.ellipse([(x - r) * unit, (y - r) * unit, (x + r) * unit, (y + r) * unit], color)


def _loaf(draw: ImageDraw.ImageDraw, x: float, y: float, unit: float) -> None:
    """A round loaf with three cuts, its crust darker at the edge; flat where it lies."""
    for inset, color in ((0, CRUST), (2.4, BREAD)):
        _blob(draw, x, y, (30 - inset, 27 - inset), color, unit)
    _blob(draw, x - 1, y - 8, (23, 14), SHINE, unit)
    for shift in (-14, 0, 14):
        cut = [(x + shift + 2.6 * sin(a) + 4.5 * cos(a), y - 6 + sin(a) - 13 * cos(a)) for a in _TURN]
        draw.polygon([(px * unit, py * unit) for px, py in cut], FLOUR)


_TURN = [2 * pi * step / 120 for step in range(120)]


def _blob(draw: ImageDraw.ImageDraw, x: float, y: float, half: Point, color: tuple[int, int, int], unit: float) -> None:
    """A superellipse, its lower half flattened."""
    points = []
    for a in _TURN:
        reach, rise = abs(cos(a)) ** 0.8 * half[0], abs(sin(a)) ** 0.8 * half[1]
        points.append(((x + copysign(reach, cos(a))) * unit, (y + (-rise if sin(a) < 0 else 0.62 * rise)) * unit))
    draw.polygon(points, color)
