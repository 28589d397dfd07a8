"""Previews of a run on disk, and the sheet of previews that the node outputs."""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn.functional import interpolate

from ...training.files.atomic import write_atomic, write_text_atomic
from ...training.run.folder import RunFolder
from ...training.run.identity import fingerprint
from ...training.watch.previews import PreviewSettings
from .page.progress import sheet, to_pil

MAX_COLUMNS = 16
"""Maximum number of steps on the sheet of previews."""
MAX_SHEET_WIDTH_PX = 8192
AT_FULL_STRENGTH = (1.0,)


class PreviewStore:
    """Previews of a run on disk: one PNG per row and step, in a folder named by the preview settings."""

    def __init__(self, folder: RunFolder, settings: PreviewSettings) -> None:
        shown = {key: value for key, value in asdict(settings).items() if key not in ("every", "at_start")}
        if settings.strengths == AT_FULL_STRENGTH:
            del shown["strengths"]  # folders from before there was a choice keep their name
        self.key = fingerprint(shown)[:12]
        self.folder = folder.previews / self.key
        self.settings = settings
        self._shown = shown

    def done(self) -> list[int]:
        """Steps with all pictures."""
        last = len(self.settings.rows()) - 1
        steps = sorted(int(path.stem.split("-")[0][4:]) for path in self.folder.glob(f"step*-{last:02d}.png"))
        return [step for step in steps if all(self.path(step, row).is_file() for row in range(last))]

    def path(self, step: int, row: int) -> Path:
        """Path of one picture."""
        return self.folder / f"step{step:06d}-{row:02d}.png"

    def save(self, step: int, pictures: Sequence[Tensor]) -> None:
        """Write one step's pictures, the last row last, so that `done` never lists an incomplete step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        about = self.folder / "settings.json"
        if not about.exists():
            write_text_atomic(about, json.dumps(self._shown, ensure_ascii=False))
        for index, picture in enumerate(pictures):
            image = to_pil(picture)
            write_atomic(self.path(step, index), lambda temporary, image=image: image.save(temporary, "PNG"))

    def load(self, step: int) -> list[Tensor]:
        """(H, W, 3) floats of one step, one per row."""
        pictures = []
        for index in range(len(self.settings.rows())):
            with Image.open(self.path(step, index)) as image:
                pictures.append(torch.from_numpy(np.array(image.convert("RGB"))).float() / 255.0)
        return pictures


def preview_sheet(store: PreviewStore) -> Tensor:
    """(1, H, W, 3): a row per prompt and strength, a column per step; one gray pixel block if nothing was drawn.

    Of many steps some are shown, evenly spread, including the first and the last; damaged pictures are left out.
    """
    steps = spread(store.done(), MAX_COLUMNS)
    columns: list[list[Tensor]] = []
    for step in steps:
        try:
            columns.append([narrowed(picture, MAX_SHEET_WIDTH_PX // len(steps)) for picture in store.load(step)])
        except OSError as error:
            logging.warning("[LoRA Bakery] the preview of step %d cannot be read: %s", step, error)
    if not columns:
        return torch.full((1, 64, 64, 3), 0.5)
    return sheet([list(row) for row in zip(*columns, strict=True)])


def spread(steps: Sequence[int], count: int) -> list[int]:
    """At most `count`, at least 2, of the steps, evenly spread, including the first and the last."""
    if len(steps) <= count:
        return list(steps)
    return [steps[round(place * (len(steps) - 1) / (count - 1))] for place in range(count)]


def narrowed(picture: Tensor, max_width: int) -> Tensor:
    """A (H, W, 3) picture scaled down to a width; unchanged if it is not wider."""
    height, width, _ = picture.shape
    if width <= max_width:
        return picture
    size = (max(1, round(height * max_width / width)), max_width)
    scaled_1CHW = interpolate(picture.movedim(-1, 0)[None], size, mode="bilinear", antialias=True)
    return scaled_1CHW[0].movedim(0, -1)
