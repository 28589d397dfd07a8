"""A bar chart of numbers by name as a picture, drawn with Pillow alone."""

from collections.abc import Mapping

from PIL import Image, ImageDraw, ImageFont

_BAR, _GAP, _HEIGHT = 26, 8, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 40, 64
_PAPER, _INK, _GRID, _FILL, _FILL_TEXT = "#17191e", "#d7dae0", "#31353d", "#5aa9e6", "#f2a65a"
_LINES = 4
_FONT_PX = 14
_LABEL_PX = 12


def bar_chart(title: str, values: Mapping[str, float], highlighted: tuple[str, ...] = ()) -> Image.Image:
    """Bars in the order given, scaled to the largest, names upright below; `highlighted` ones have another colour."""
    width = _LEFT + _RIGHT + max(len(values), 8) * (_BAR + _GAP)
    image = Image.new("RGB", (width, _TOP + _HEIGHT + _BOTTOM), _PAPER)
    draw = ImageDraw.Draw(image)
    top = max(values.values(), default=0.0) or 1.0
    font = ImageFont.load_default(_FONT_PX)
    draw.text((_LEFT, 10), title, fill=_INK, font=font)
    for line in range(_LINES + 1):
        y = _TOP + _HEIGHT * line // _LINES
        draw.line((_LEFT, y, width - _RIGHT, y), fill=_GRID)
        draw.text((4, y - 8), f"{top * (_LINES - line) / _LINES:.2g}", fill=_INK, font=font)
    for place, (name, value) in enumerate(values.items()):
        left = _LEFT + place * (_BAR + _GAP) + _GAP // 2
        height = round(_HEIGHT * value / top)
        colour = _FILL_TEXT if name in highlighted else _FILL
        draw.rectangle((left, _TOP + _HEIGHT - height, left + _BAR, _TOP + _HEIGHT), fill=colour)
        image.paste(_upright(name), (left + _BAR // 2 - 8, _TOP + _HEIGHT + 6))
    return image


def _upright(text: str) -> Image.Image:
    label = Image.new("RGB", (_BOTTOM - 8, 16), _PAPER)
    draw = ImageDraw.Draw(label)
    font = ImageFont.load_default(_LABEL_PX)
    length = draw.textlength(text, font=font)
    draw.text((label.width - length - 1, 0), text, fill=_INK, font=font)
    return label.rotate(90, expand=True)
