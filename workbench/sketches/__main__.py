"""Draws what the grades of the recipe mean, and the pack's icon and banner: `python dev.py sketches`."""

from PIL import Image, ImageDraw

from ...tests.support.paths import ROOT
from ...training.recipes.subjects import SUBJECTS
from ..demo.picture import FAINT, INK, PAPER, font
from .brand import draw_banner, draw_icon
from .drawings import DRAWINGS, Sketch

PATH = ROOT / "js" / "docs" / "grades.png"
"""Beside the help pages, where ComfyUI finds it; the guide shows the same file."""
ICON, BANNER = ROOT / "docs" / "images" / "icon.png", ROOT / "docs" / "images" / "banner.png"
SIDE_PX, LABEL_PX, COLUMNS, SCALE = 180, 44, 3, 4
LINE_CHARACTERS = 30


def draw_grades() -> Image.Image:
    """All grades in a grid, each with its letter and its sentence."""
    rows = -(-len(DRAWINGS) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * SIDE_PX, rows * (SIDE_PX + LABEL_PX)), PAPER)
    draw = ImageDraw.Draw(sheet)
    sentences = {subject.grade: subject.sentence for subject in SUBJECTS if subject.name.startswith("character")}
    for index, (grade, sketch) in enumerate(DRAWINGS.items()):
        x, y = index % COLUMNS * SIDE_PX, index // COLUMNS * (SIDE_PX + LABEL_PX)
        sheet.paste(draw_one(sketch), (x, y))
        draw.text((x + 8, y + 6), grade, INK, font(22))
        for line, text in enumerate(wrapped(sentences[grade])):
            draw.text((x + 8, y + SIDE_PX + 12 * line), text, FAINT, font(11))
    return sheet.quantize(64, dither=Image.Dither.NONE)


def draw_one(sketch: Sketch) -> Image.Image:
    """A sketch of 100 x 100 units."""
    large = Image.new("RGB", (SIDE_PX * SCALE, SIDE_PX * SCALE), PAPER)
    sketch.on(ImageDraw.Draw(large), SIDE_PX * SCALE / 100)
    return large.resize((SIDE_PX, SIDE_PX), Image.Resampling.LANCZOS)


def wrapped(sentence: str) -> list[str]:
    """The sentence in lines."""
    lines = [""]
    for word in sentence.split():
        if len(lines[-1]) + len(word) >= LINE_CHARACTERS:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".strip()
    return lines


if __name__ == "__main__":
    for path, picture in ((PATH, draw_grades()), (ICON, draw_icon()), (BANNER, draw_banner())):
        picture.save(path, optimize=True)
        print(f"Picture: {path}")
