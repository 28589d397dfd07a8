"""Pictures that show what a LoRA does: from a run's previews, on a sheet, and small in a header."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from PIL import Image, ImageDraw

from ..drawing.lettering import font_of_size, wrapped
from ..run.folder import RunFolder
from ..run.view import preview_sets

BACKGROUND, TEXT = (24, 24, 27), (235, 235, 235)
GAP_PX, FONT_PX, CAPTION_LINES = 8, 16, 2
MAX_COLUMNS = 3
"""Maximum number of columns of pictures at one strength."""
SMALLEST_CELL_PX = 128
"""Smaller pictures are enlarged by whole numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One picture, and how it was drawn as far as known."""

    picture: Image.Image
    prompt: str = ""
    strength: float | None = None
    """Of the LoRA."""
    settings: str = ""
    """Seed, sampler and guidance in words."""

    def caption(self) -> str:
        """Strength and prompt, as shown below it."""
        strength = "" if self.strength is None else f"{self.strength:g}"
        return " · ".join(part for part in (strength, self.prompt) if part)


def samples_of_run(run: RunFolder, step: int) -> list[Sample]:
    """The last previews of a step, one per prompt and strength; empty if there are none."""
    found = next((one for one in preview_sets(run) if step in one["steps"]), None)
    if found is None:
        return []
    folder = run.previews / found["key"]
    strengths = found["strengths"] or [1.0] * len(found["prompts"])
    settings = _settings_text(folder / "settings.json")
    rows = enumerate(zip(found["prompts"], strengths, strict=True))
    return [
        Sample(picture=_read(folder / f"step{step:06d}-{row:02d}.png"), prompt=prompt, strength=strength,
               settings=settings)
        for row, (prompt, strength) in rows
    ]  # fmt: skip


def _read(path: Path) -> Image.Image:
    picture: Image.Image = Image.open(path)
    with picture:
        return picture.convert("RGB")


def _settings_text(path: Path) -> str:
    asked = cast(dict[str, Any], json.loads(path.read_text(encoding="utf-8")))
    names = {"seed": "seed", "steps": "steps", "cfg": "cfg", "sampler": "sampler", "scheduler": "scheduler"}
    told = [f"{name} {asked[key]}" for key, name in names.items() if key in asked]
    return ", ".join([*told, *([f"negative: {asked['negative']}"] if asked.get("negative") else [])])


def draw_sheet(samples: Sequence[Sample]) -> Image.Image:
    """All pictures (at least one) with their captions: a row per prompt if there are several strengths."""
    zoom = max(1, round(SMALLEST_CELL_PX / max(max(sample.picture.size) for sample in samples)))
    width = max(sample.picture.width for sample in samples) * zoom
    height = max(sample.picture.height for sample in samples) * zoom
    line_px = round(FONT_PX * 1.3)
    num_strengths = len({sample.strength for sample in samples})
    columns = num_strengths if num_strengths > 1 else min(MAX_COLUMNS, len(samples))
    cell = (width + GAP_PX, height + GAP_PX + CAPTION_LINES * line_px)
    size = (columns * cell[0] + GAP_PX, -(-len(samples) // columns) * cell[1] + GAP_PX)
    sheet, font = Image.new("RGB", size, BACKGROUND), font_of_size(FONT_PX)
    draw = ImageDraw.Draw(sheet)
    for number, sample in enumerate(samples):
        x, y = GAP_PX + number % columns * cell[0], GAP_PX + number // columns * cell[1]
        picture = sample.picture
        large = picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)
        sheet.paste(large if zoom > 1 else picture, (x, y))
        for line, text in enumerate(wrapped(sample.caption(), font, width, CAPTION_LINES)):
            draw.text((x, y + height + line * line_px), text, TEXT, font)
    return sheet


def data_url(picture: Image.Image, longest_px: int) -> str:
    """A JPEG of the picture as a data URL, its longer side at most `longest_px`."""
    small = picture.convert("RGB")
    small.thumbnail((longest_px, longest_px), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=85)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
