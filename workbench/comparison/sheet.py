"""The picture of the comparison: a row a contestant, in every column the same prompt and the same noise."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from ..demo.picture import FAINT, INK, PAPER, font

SIDE_PX, GAP_PX, LABEL_PX, HEAD_PX = 64, 2, 200, 44
COLUMN_PX = 24
COLORS = 160
"""Of the palette, which keeps the file small."""

PICTURES = ((0, 0), (1, 0), (1, 1), (2, 0), (2, 1), (3, 0), (4, 0), (5, 0))
"""Which of a trial's pictures are shown, as (prompt, picture); the first prompt is one the dataset shows."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A title, what the columns are, and rows of (first line, second line, all pictures of the trial)."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, str, Image.Image], ...]

    @property
    def height(self) -> int:
        """Pixels."""
        return HEAD_PX + len(self.rows) * (SIDE_PX + GAP_PX) + COLUMN_PX


PANEL_WIDTH_PX = LABEL_PX + len(PICTURES) * (SIDE_PX + GAP_PX)


def draw_sheet(columns: Sequence[Sequence[Panel]]) -> Image.Image:
    """Panels below each other in columns."""
    height = max(sum(panel.height for panel in panels) for panels in columns)
    sheet = Image.new("RGB", (len(columns) * (PANEL_WIDTH_PX + COLUMN_PX), height), PAPER)
    for number, panels in enumerate(columns):
        y = 0
        for panel in panels:
            _draw_panel(sheet, panel, number * (PANEL_WIDTH_PX + COLUMN_PX) + COLUMN_PX // 2, y)
            y += panel.height
    return sheet.quantize(COLORS, dither=Image.Dither.NONE)


def _draw_panel(sheet: Image.Image, panel: Panel, left: int, top: int) -> None:
    draw = ImageDraw.Draw(sheet)
    draw.text((left, top + 20), panel.title, INK, font(17))
    place: Callable[[int], int] = lambda column: left + LABEL_PX + column * (SIDE_PX + GAP_PX)  # noqa: E731
    for column, text in enumerate(panel.columns):
        draw.text((place(column), top + 26), text, FAINT, font(12))
    for index, (name, detail, pictures) in enumerate(panel.rows):
        y = top + HEAD_PX + index * (SIDE_PX + GAP_PX)
        draw.text((left, y + 14), name, INK, font(13))
        draw.text((left, y + 34), detail, FAINT, font(12))
        for column, (prompt, number) in enumerate(PICTURES):
            corner = (number * SIDE_PX, prompt * SIDE_PX)
            sheet.paste(pictures.crop((*corner, corner[0] + SIDE_PX, corner[1] + SIDE_PX)), (place(column), y))
