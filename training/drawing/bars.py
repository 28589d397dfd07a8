"""A bar chart with vertical names below the bars."""

from collections.abc import Mapping
from statistics import median

from PIL import Image, ImageDraw

from .paper import BACKGROUND, COLORS, SCALE, TEXT, Color, blank, draw_level, font, reduced, ticks

PLAIN, HIGHLIGHTED, TROUBLE = COLORS[0], COLORS[1], COLORS[5]
BAR, GAP, HEIGHT = 26, 8, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 64
LABEL_HEIGHT = 16
MIN_BARS = 8
"""The chart has at least the width for this many bars."""
NUM_TICKS = 5
FAR = 20.0
"""Multiple of the median at which a bar is cut off, so that the others stay visible."""


def bar_chart(
    title: str, values: Mapping[str, float], highlighted: tuple[str, ...] = (), marked: Mapping[str, str] | None = None
) -> Image.Image:
    """Bars in the given order; `highlighted` ones have another color.

    Bars are scaled to the largest, but one far above the rest is cut off, with its value in red. `marked` ones have a
    word instead of their value.
    """
    notes = dict(marked or {})
    usual = [value for name, value in values.items() if value > 0 and name not in notes]
    most = FAR * median(usual) if usual else 0.0
    notes |= {name: f"{value:.2g}" for name, value in values.items() if value > most and name not in notes}
    top = max((value for value in usual if value <= most), default=1.0)
    width = LEFT + RIGHT + max(max(len(values), MIN_BARS) * (BAR + GAP), round(font().getlength(title) / SCALE))
    page = blank(width, TOP + HEIGHT + BOTTOM)
    draw = ImageDraw.Draw(page)
    draw.text((LEFT * SCALE, 10 * SCALE), title, fill=TEXT, font=font())
    for tick in ticks(0.0, top, NUM_TICKS):
        draw_level(draw, LEFT * SCALE, (width - RIGHT) * SCALE, _level(tick / top), f"{tick:.3g}")
    for place, (name, value) in enumerate(values.items()):
        left = LEFT + place * (BAR + GAP) + GAP // 2
        fill = TROUBLE if name in notes else HIGHLIGHTED if name in highlighted else PLAIN
        upper = _level(1.0 if name in notes else value / top)
        draw.rectangle((left * SCALE, upper, (left + BAR) * SCALE, _level(0.0)), fill=fill)
        _write_upright(page, name, left, TOP + HEIGHT + 6, BACKGROUND)
        if name in notes:
            _write_upright(page, notes[name], left, TOP + 6, fill)
    return reduced(page)


def _level(share: float) -> float:
    """Height of a share of the largest value, in pixels of the page."""
    return (TOP + HEIGHT * (1.0 - share)) * SCALE


def _write_upright(page: Image.Image, text: str, left: int, top: int, paper: Color) -> None:
    """Vertical text, centered below a bar."""
    label = Image.new("RGB", ((BOTTOM - 8) * SCALE, LABEL_HEIGHT * SCALE), paper)
    ink = TEXT if paper == BACKGROUND else BACKGROUND
    ImageDraw.Draw(label).text((label.width - SCALE, label.height // 2), text, fill=ink, font=font(), anchor="rm")
    page.paste(label.rotate(90, expand=True), ((left + BAR // 2 - LABEL_HEIGHT // 2) * SCALE, top * SCALE))
