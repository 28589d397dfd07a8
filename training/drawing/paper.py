"""The page, font, colors and ticks of all charts. Drawn at twice the size and reduced, for smooth lines."""

import math

from PIL import Image, ImageDraw

from .lettering import Font, font_of_size

SCALE = 2
BACKGROUND, TEXT, QUIET, GRID = (250, 250, 250), (30, 30, 30), (120, 120, 120), (222, 222, 222)
COLORS = ((47, 127, 193), (194, 65, 12), (22, 128, 61), (126, 34, 206), (161, 98, 7), (190, 24, 93))
FONT_PX = 12

Color = tuple[int, int, int]


def faint(color: Color, share: float = 0.35) -> Color:
    """A paler version of the color."""
    red, green, blue = (round(share * c + (1 - share) * b) for c, b in zip(color, BACKGROUND, strict=True))
    return red, green, blue


def blank(width: int, height: int) -> Image.Image:
    """A page that has this size once it is reduced."""
    return Image.new("RGB", (width * SCALE, height * SCALE), BACKGROUND)


def reduced(page: Image.Image) -> Image.Image:
    """The page at its final size."""
    return page.resize((page.width // SCALE, page.height // SCALE), Image.Resampling.LANCZOS)


def font() -> Font:
    """Font of all text on the page."""
    return font_of_size(FONT_PX * SCALE)


def draw_level(draw: ImageDraw.ImageDraw, left: float, right: float, y: float, label: str) -> None:
    """A horizontal grid line across the page, with its value to the left; in pixels of the page."""
    draw.line([(left, y), (right, y)], GRID, SCALE)
    draw.text((left - 6 * SCALE, y), label, QUIET, font(), anchor="rm")


def ticks(low: float, high: float, wanted: int) -> list[float]:
    """Round numbers in a range, 1, 2 or 5 times a power of ten apart, about `wanted`."""
    rough = (high - low) / max(1, wanted)
    if not rough > 0 or not math.isfinite(rough):
        return []
    power = 10.0 ** math.floor(math.log10(rough))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
    return [float(f"{number * size:.12g}") for number in range(first, last + 1)]
