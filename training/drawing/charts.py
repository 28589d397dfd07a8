"""Line charts: panels one below the other."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from .paper import (
    QUIET,
    SCALE,
    TEXT,
    Color,
    blank,
    draw_level,
    font,
    reduced,
    ticks,
)

MARGIN = (64, 26, 14, 24)
"""Left, top, right, bottom pixels of a panel."""

Place = Callable[[float, float], tuple[float, float]]
"""(step, value) to pixels."""


@dataclass(frozen=True, slots=True)
class Line:
    """A curve with ascending x; values that are not finite are gaps."""

    label: str
    steps: Sequence[float]
    values: Sequence[float]
    color: Color
    width: int = 2
    """Pixels."""


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart."""

    title: str
    lines: Sequence[Line]
    is_log: bool = False


def draw_panels(panels: Sequence[Panel], width: int, panel_height: int) -> Image.Image:
    """The panels one below the other, `width` pixels wide; panels without values are left out."""
    drawn = [panel for panel in panels if _value_range(panel) is not None]
    page = blank(width, panel_height * max(1, len(drawn)))
    draw = ImageDraw.Draw(page)
    for index, panel in enumerate(drawn):
        _draw_panel(draw, panel, width, panel_height, index * panel_height)
    if not drawn:
        draw.text((20 * SCALE, 20 * SCALE), "nothing recorded yet", QUIET, font())
    return reduced(page)


def _value_range(panel: Panel) -> tuple[float, float] | None:
    values = [v for line in panel.lines for v in line.values if math.isfinite(v) and (v > 0 or not panel.is_log)]
    if not values:
        return None
    low, high = min(values), max(values)
    if panel.is_log:
        return low / 1.1, high * 1.1
    air = (high - low) * 0.06 or max(abs(high) * 0.1, 1e-6)
    return low - air, high + air


def _draw_panel(draw: ImageDraw.ImageDraw, panel: Panel, width: int, height: int, top: int) -> None:
    value_range = _value_range(panel)
    assert value_range is not None
    low, high = value_range
    steps = [step for line in panel.lines for step in line.steps]
    first, last = min(steps), max(max(steps), min(steps) + 1)
    bend = math.log if panel.is_log else float
    left, upper, right, lower = MARGIN

    def place(step: float, value: float) -> tuple[float, float]:
        x = left + (step - first) / (last - first) * (width - left - right)
        y = top + upper + (bend(high) - bend(value)) / (bend(high) - bend(low)) * (height - upper - lower)
        return x * SCALE, y * SCALE

    for tick in _value_ticks(low, high, panel.is_log, height // 45):
        start, end = place(first, tick), place(last, tick)
        draw_level(draw, start[0], end[0], start[1], f"{tick:.4g}")
    for tick in ticks(first, last, width // 120):
        draw.text((place(tick, low)[0], (top + height - lower + 4) * SCALE), f"{tick:g}", QUIET, font(), anchor="ma")
    for line in panel.lines:
        _draw_line(draw, line, panel.is_log, place)
    _draw_title(draw, panel, (left, top + 6))


def _value_ticks(low: float, high: float, is_log: bool, wanted: int) -> list[float]:
    if not is_log:
        return ticks(low, high, wanted)
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    factors = (1,) if high / low > 1e4 else (1, 2, 5)
    return [f * 10.0**p for p in powers for f in factors if low <= f * 10.0**p <= high]


def _draw_line(draw: ImageDraw.ImageDraw, line: Line, is_log: bool, place: Place) -> None:
    run: list[tuple[float, float]] = []
    for step, value in [*zip(line.steps, line.values, strict=True), (0.0, math.nan)]:
        if math.isfinite(value) and (value > 0 or not is_log):
            run.append(place(step, value))
            continue
        if len(run) == 1:
            x, y = run[0]
            draw.ellipse((x - 3 * SCALE, y - 3 * SCALE, x + 3 * SCALE, y + 3 * SCALE), line.color)
        elif run:
            draw.line(run, line.color, line.width * SCALE, joint="curve")
        run = []


def _draw_title(draw: ImageDraw.ImageDraw, panel: Panel, corner: tuple[int, int]) -> None:
    x, y = corner[0] * SCALE, corner[1] * SCALE
    draw.text((x, y), panel.title, TEXT, font())
    x += int(font().getlength(panel.title)) + 18 * SCALE
    for line in panel.lines:
        draw.rectangle((x, y + 5 * SCALE, x + 12 * SCALE, y + 8 * SCALE), line.color)
        draw.text((x + 16 * SCALE, y), line.label, QUIET, font())
        x += int(font().getlength(line.label)) + 30 * SCALE
