"""The demo's sheet: a block for each prompt, the base model's pictures above the LoRA's."""

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from .sampling import Pictures

ZOOM = 2
GAP_PX = 6
LABEL_PX = 24
SIDE_PX = 64
PAPER, INK, FAINT = (250, 249, 246), (30, 30, 30), (110, 110, 110)


def comparison_sheet(title: str, captions: dict[str, str], base: Pictures, lora: Pictures) -> Image.Image:
    """Return the labeled sheet.

    Args:
        title: the first line.
        captions: what to write above the block of each prompt, in order.
        base: pictures of the base model.
        lora: pictures with the LoRA, the same seeds.
    """
    first = next(iter(base.values()))
    size = first[0].width * ZOOM
    width = SIDE_PX + len(first) * (size + GAP_PX) + GAP_PX
    block = LABEL_PX + 2 * (size + GAP_PX) + GAP_PX
    sheet = Image.new("RGB", (width, LABEL_PX + 12 + len(captions) * block), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((GAP_PX, GAP_PX), title, INK, font(18))
    for index, (prompt, caption) in enumerate(captions.items()):
        top = LABEL_PX + 12 + index * block
        draw.text((GAP_PX, top + 3), caption, INK, font(14))
        for row, (name, pictures) in enumerate((("base", base[prompt]), ("LoRA", lora[prompt]))):
            y = top + LABEL_PX + row * (size + GAP_PX)
            draw.text((GAP_PX, y + size // 2 - 8), name, FAINT, font(14))
            _paste_row(sheet, pictures, y, size)
    return sheet


def _paste_row(sheet: Image.Image, pictures: Sequence[Image.Image], y: int, size: int) -> None:
    for column, picture in enumerate(pictures):
        large = picture.resize((size, size), Image.Resampling.NEAREST)
        sheet.paste(large, (SIDE_PX + column * (size + GAP_PX), y))


def font(size: int) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Return the font of labels."""
    return ImageFont.load_default(size)
