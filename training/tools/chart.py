"""The norms of a LoRA's blocks as a bar chart, drawn with Pillow alone."""

from collections.abc import Mapping
from math import floor, log10
from statistics import median

from PIL import Image, ImageDraw, ImageFont

from .inspection import LoraInfo

_BAR, _GAP, _HEIGHT = 26, 8, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 16, 40, 64
_PAPER, _INK, _GRID = "#17191e", "#d7dae0", "#31353d"
_FILL, _FILL_TEXT, _FILL_TROUBLE = "#5aa9e6", "#f2a65a", "#e5534b"
_MOST_LINES = 5
_FONT_PX = 14
_LABEL_PX = 12
_FAR = 20.0
"""Times the median from which a bar is cut off, so that the others can be seen."""


def norm_chart(name: str, info: LoraInfo) -> Image.Image:
    """Norm of the change by block; text encoders are orange, blocks with broken modules are marked."""
    title = f"{name}: norm of the change by block" if name else "norm of the change by block"
    return bar_chart(title, info.block_norms, ("BASE",), dict.fromkeys(info.broken_blocks, "NaN"))


def bar_chart(
    title: str, values: Mapping[str, float], highlighted: tuple[str, ...] = (), marked: Mapping[str, str] | None = None
) -> Image.Image:
    """Bars in the order given, names upright below; `highlighted` ones have another color.

    Bars are scaled to the largest, but one far above the rest is cut off and its value written in it, red. `marked`
    ones have a word in place of their value.
    """
    notes = dict(marked or {})
    usual = [value for name, value in values.items() if value > 0 and name not in notes]
    most = _FAR * median(usual) if usual else 0.0
    notes |= {name: f"{value:.2g}" for name, value in values.items() if value > most and name not in notes}
    step, top = _scale(max((value for value in usual if value <= most), default=1.0))
    font = ImageFont.load_default(_FONT_PX)
    plot = max(len(values), 8) * (_BAR + _GAP)
    width = _LEFT + _RIGHT + max(plot, round(font.getlength(title)))
    image = Image.new("RGB", (width, _TOP + _HEIGHT + _BOTTOM), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((_LEFT, 10), title, fill=_INK, font=font)
    for line in range(round(top / step) + 1):
        y = _TOP + _HEIGHT - round(_HEIGHT * line * step / top)
        draw.line((_LEFT, y, width - _RIGHT, y), fill=_GRID)
        draw.text((_LEFT - 8, y), f"{line * step:.3g}", fill=_INK, font=font, anchor="rm")
    for place, (name, value) in enumerate(values.items()):
        left = _LEFT + place * (_BAR + _GAP) + _GAP // 2
        height = _HEIGHT if name in notes else round(_HEIGHT * value / top)
        fill = _FILL_TROUBLE if name in notes else _FILL_TEXT if name in highlighted else _FILL
        draw.rectangle((left, _TOP + _HEIGHT - height, left + _BAR, _TOP + _HEIGHT), fill=fill)
        image.paste(_upright(name, _PAPER), (left + _BAR // 2 - 8, _TOP + _HEIGHT + 6))
        if name in notes:
            image.paste(_upright(notes[name], _FILL_TROUBLE), (left + _BAR // 2 - 8, _TOP + 6))
    return image


def _scale(largest: float) -> tuple[float, float]:
    """Distance of the lines, a round number, and the highest of them, at or above the largest value."""
    power = 10.0 ** floor(log10(largest))
    step = next(size * power for size in (0.2, 0.25, 0.5, 1, 2) if largest <= _MOST_LINES * size * power * (1 + 1e-9))
    lines = next(count for count in range(1, _MOST_LINES + 1) if largest <= count * step * (1 + 1e-9))
    return step, lines * step


def _upright(text: str, paper: str) -> Image.Image:
    label = Image.new("RGB", (_BOTTOM - 8, 16), paper)
    draw = ImageDraw.Draw(label)
    font = ImageFont.load_default(_LABEL_PX)
    length = draw.textlength(text, font=font)
    draw.text((label.width - length - 1, 0), text, fill=_INK, font=font)
    return label.rotate(90, expand=True)
