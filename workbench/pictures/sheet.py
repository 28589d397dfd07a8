"""How a strip looks: title, labels of the columns, a row a setting with its name on the left."""

from collections.abc import Sequence

from PIL import Image, ImageDraw

from ..demo.picture import FAINT, INK, PAPER, font
from .bakes import SIZE_PX
from .strips import Strip

ZOOM, GAP_PX, LABEL_PX, HEAD_PX = 2, 4, 170, 56
COLORS = 160
"""Of the palette, which keeps the file small."""
SIDE_PX = ZOOM * SIZE_PX


def sheet_size(strip: Strip) -> tuple[int, int]:
    """Width and height in pixels."""
    return LABEL_PX + len(strip.columns) * (SIDE_PX + GAP_PX), HEAD_PX + len(strip.rows) * (SIDE_PX + GAP_PX)


def draw_sheet(strip: Strip, rows: Sequence[Image.Image]) -> Image.Image:
    """The strip; `rows` are its pictures, side by side in each."""
    sheet = Image.new("RGB", sheet_size(strip), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((8, 4), strip.title, INK, font(18))
    place = [LABEL_PX + column * (SIDE_PX + GAP_PX) for column in range(len(strip.columns))]
    for left, (label, _) in zip(place, strip.columns, strict=True):
        draw.text((left, HEAD_PX - 20), label, FAINT, font(13))
    for index, (row, pictures) in enumerate(zip(strip.rows, rows, strict=True)):
        top = HEAD_PX + index * (SIDE_PX + GAP_PX)
        draw.text((8, top + SIDE_PX // 2 - 18), row.title, INK, font(16))
        draw.text((8, top + SIDE_PX // 2 + 4), row.detail, FAINT, font(13))
        for column, left in enumerate(place):
            picture = pictures.crop((column * SIZE_PX, 0, (column + 1) * SIZE_PX, SIZE_PX))
            sheet.paste(picture.resize((SIDE_PX, SIDE_PX), Image.Resampling.NEAREST), (left, top))
    return sheet.quantize(COLORS, dither=Image.Dither.NONE)
