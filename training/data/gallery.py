"""A dataset as pages of pictures, each with crop and caption as in training.

Shapes: N pages, H W rows and columns of a page.
"""

import unicodedata
from collections.abc import Sequence

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from ..base_model import ModelFamily
from .dataset import Dataset
from .findings import caption_as_trained, unique_images
from .images import pixels_HWC, read_rgb_and_mask
from .placement import placed
from .prepare import place_images
from .prepared import Entry

CELL_PX = 232
MARGIN_PX = 8
LINE_PX = 17
CAPTION_LINES = 4
COLUMNS = 5
ROWS = 4
MAX_PAGES = 5
FONT_PX = 13
WIDE_FONTS = ("msyh.ttc", "PingFang.ttc", "NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial.ttf")
PILLOWS_FONT = "Aileron"
BACKGROUND, TEXT, QUIET = (24, 24, 27), (235, 235, 235), (150, 150, 155)

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def draw_gallery(dataset: Dataset, family: ModelFamily) -> Tensor:
    """Pages of up to 20 images, at most five, as pixels in 0..1, (N, H, W, 3).

    Raises:
        OSError: A picture cannot be read.
    """
    entries = unique_images(place_images(dataset, family))
    columns = min(COLUMNS, len(entries))
    rows = min(ROWS, -(-len(entries) // columns))
    per_page = columns * rows
    starts = range(0, min(len(entries), MAX_PAGES * per_page), per_page)
    pages = [_page(entries[start : start + per_page], columns, rows) for start in starts]
    return torch.stack([pixels_HWC(page) for page in pages])


def _page(entries: Sequence[Entry], columns: int, rows: int) -> Image.Image:
    cell = (CELL_PX + MARGIN_PX, CELL_PX + (CAPTION_LINES + 1) * LINE_PX + 2 * MARGIN_PX)
    page = Image.new("RGB", (columns * cell[0] + MARGIN_PX, rows * cell[1] + MARGIN_PX), BACKGROUND)
    for index, entry in enumerate(entries):
        left = MARGIN_PX + index % columns * cell[0]
        top = MARGIN_PX + index // columns * cell[1]
        _draw_cell(page, (left, top), entry)
    return page


def _draw_cell(page: Image.Image, corner: tuple[int, int], entry: Entry) -> None:
    image, _ = read_rgb_and_mask(entry.item, entry.subset.buckets.use_alpha_masks)
    image = placed(image, entry.placement)
    scale = CELL_PX / max(image.size)
    thumbnail = image.resize((max(1, int(image.width * scale)), max(1, int(image.height * scale))))
    left, top = corner
    page.paste(thumbnail, (left + (CELL_PX - thumbnail.width) // 2, top + (CELL_PX - thumbnail.height) // 2))
    draw, font = ImageDraw.Draw(page), _font()
    width, height = entry.placement.bucket
    about = f"{width}x{height}" + (f" x{entry.subset.repeats}" if entry.subset.repeats > 1 else "")
    caption = caption_as_trained(entry) or "(empty caption)"
    top += CELL_PX + MARGIN_PX // 2
    draw.text((left, top), _wrap(f"{about}  {entry.item.name}", font, 1)[0], QUIET, font)
    for number, line in enumerate(_wrap(caption, font, CAPTION_LINES), start=1):
        draw.text((left, top + number * LINE_PX), line, TEXT, font)


def _font() -> Font:
    for name in WIDE_FONTS:
        try:
            return ImageFont.truetype(name, FONT_PX)
        except OSError:
            continue
    return ImageFont.load_default(FONT_PX)


def _drawable(text: str, font: Font) -> str:
    # Pillow's own font has only ASCII.
    if isinstance(font, ImageFont.FreeTypeFont) and font.getname()[0] != PILLOWS_FONT:
        return text
    plain = unicodedata.normalize("NFKD", text)
    return "".join(c if c.isascii() else "?" for c in plain if not unicodedata.combining(c))


def _wrap(text: str, font: Font, max_lines: int) -> list[str]:
    """Text in lines that fit a cell, broken at any character; the rest is cut with an ellipsis."""
    lines: list[str] = []
    rest = _drawable(text, font)
    while rest and len(lines) < max_lines:
        length = next((n for n in range(len(rest), 1, -1) if font.getlength(rest[:n]) <= CELL_PX), 1)
        space = rest.rfind(" ", 0, length)
        if length < len(rest) and space > length // 2:
            length = space + 1
        lines.append(rest[:length].rstrip())
        rest = rest[length:]
    if rest and lines:
        lines[-1] = lines[-1][:-3].rstrip() + "..."
    return lines or [""]
