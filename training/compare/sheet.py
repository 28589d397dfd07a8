"""Draws the pages of a comparison: labels above the columns and left of the rows, a score in each cell."""

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw

from ..drawing.lettering import font_of_size, wrapped
from .layout import Cell, Page

BACKGROUND, TEXT, QUIET, MARK = (24, 24, 27), (235, 235, 235), (160, 160, 165), (99, 179, 237)
GAP_PX = 4
MARGIN_PX = 12
MIN_LABEL_PX, MAX_LABEL_PX = 90, 240


def draw_pages(
    pages: Sequence[Page], pictures: Mapping[Cell, Image.Image], scores: Mapping[Cell, float], best: int | None
) -> list[Image.Image]:
    """One picture per page, all of the same size. Cells of the LoRA `best` have a frame."""
    return [_Sheet(page, pictures, scores, best).draw() for page in pages]


class _Sheet:
    def __init__(
        self, page: Page, pictures: Mapping[Cell, Image.Image], scores: Mapping[Cell, float], best: int | None
    ) -> None:
        self.page, self.pictures, self.scores, self.best = page, pictures, scores, best
        width, height = pictures[page.cells[0][0]].size
        self.zoom = max(1, round(128 / max(width, height)))
        """Pictures smaller than a label are enlarged by whole numbers."""
        self.cell = (width * self.zoom, height * self.zoom)
        self.font_px = max(13, min(28, self.cell[1] // 16))
        self.label_px = max(MIN_LABEL_PX, min(MAX_LABEL_PX, self.cell[0]))
        self.line_px = round(self.font_px * 1.3)
        self.top = MARGIN_PX + self.line_px * (1 + 2) + GAP_PX

    def draw(self) -> Image.Image:
        width = MARGIN_PX * 2 + self.label_px + len(self.page.column_labels) * (self.cell[0] + GAP_PX)
        height = self.top + len(self.page.row_labels) * (self.cell[1] + GAP_PX) + MARGIN_PX
        sheet = Image.new("RGB", (width, height), BACKGROUND)
        draw = ImageDraw.Draw(sheet)
        font = font_of_size(self.font_px)
        title = wrapped(self.page.title, font, width - 2 * MARGIN_PX, 1)
        draw.text((MARGIN_PX, MARGIN_PX // 2), "".join(title), QUIET, font)
        for column, label in enumerate(self.page.column_labels):
            lines = wrapped(label, font, self.cell[0], 2)
            x, bottom = self._corner(column, 0)
            for number, line in enumerate(reversed(lines), start=1):
                draw.text((x, bottom - GAP_PX - number * self.line_px), line, TEXT, font)
        for row, label in enumerate(self.page.row_labels):
            for number, line in enumerate(wrapped(label, font, self.label_px - GAP_PX, self.cell[1] // self.line_px)):
                draw.text((MARGIN_PX, self._corner(0, row)[1] + number * self.line_px), line, TEXT, font)
            for column, cell in enumerate(self.page.cells[row]):
                self._draw_cell(sheet, draw, cell, self._corner(column, row))
        return sheet

    def _corner(self, column: int, row: int) -> tuple[int, int]:
        left = MARGIN_PX + self.label_px + column * (self.cell[0] + GAP_PX)
        return left, self.top + row * (self.cell[1] + GAP_PX)

    def _draw_cell(self, sheet: Image.Image, draw: ImageDraw.ImageDraw, cell: Cell, corner: tuple[int, int]) -> None:
        picture = self.pictures[cell]
        sheet.paste(picture.resize(self.cell, Image.Resampling.NEAREST) if self.zoom > 1 else picture, corner)
        x, y = corner
        if cell.lora == self.best:
            draw.rectangle((x, y, x + self.cell[0] - 1, y + self.cell[1] - 1), outline=MARK, width=2)
        if cell in self.scores:
            font = font_of_size(self.font_px)
            text = f"{self.scores[cell]:.2f}"
            box = (x + 2, y + 2, x + 8 + int(font.getlength(text)), y + 4 + self.line_px)
            draw.rectangle(box, BACKGROUND)
            draw.text((x + 5, y + 3), text, TEXT, font)
