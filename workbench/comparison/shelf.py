"""Where results and pictures are kept between calls."""

import json
from pathlib import Path
from typing import Any

from PIL import Image

from ...training.files.atomic import write_text_atomic
from ..demo.sampling import Pictures
from .trial import Trial


class Shelf:
    """Results by trial in one JSON file; pictures as one PNG per trial: a row per prompt."""

    def __init__(self, folder: Path) -> None:
        """Opens the folder; it need not be there."""
        self._folder = folder
        self._file = folder / "results.json"
        self.results = self._read()

    def _read(self) -> dict[str, dict[str, Any]]:
        return json.loads(self._file.read_text()) if self._file.is_file() else {}

    def add(self, trial: Trial, result: dict[str, Any], pictures: Pictures) -> None:
        """Save a trial's outcome; what another call added meanwhile stays."""
        if pictures:
            self.add_pictures(trial.name, pictures)
        self.results = {**self._read(), trial.key: result}
        write_text_atomic(self._file, json.dumps(self.results, indent=1))

    def add_pictures(self, name: str, pictures: Pictures) -> None:
        """Keep pictures under a name."""
        first = next(iter(pictures.values()))
        side = first[0].width
        image = Image.new("RGB", (len(first) * side, len(pictures) * side))
        for row, drawn in enumerate(pictures.values()):
            for column, picture in enumerate(drawn):
                image.paste(picture, (column * side, row * side))
        self._folder.mkdir(parents=True, exist_ok=True)
        image.save(self._folder / f"{name}.png")

    def pictures(self, name: str) -> Image.Image:
        """What was kept under a name."""
        with Image.open(self._folder / f"{name}.png") as image:
            return image.convert("RGB")
