"""Trains and draws the strips' rows, one after the other, in this process; keeps every drawn row."""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from PIL import Image

from ...tests.support.inprocess import HostModules
from ...tests.support.paths import POCKET_CHECKPOINT
from ...training.files.atomic import write_atomic
from ..comparison.kitchen import CFG, with_lora
from ..examples.data import CHARACTER, add_example_data
from ..pocket.characters import CHARACTERS, draw_character, write_oc_dataset
from ..pocket.sampling import PocketModel, SamplerConfig, sample_captions
from .bakes import Bake, training_graph
from .strips import FEW, SAME_PLACE, Row

SEED = 3
NUM_PICTURES = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Scale:
    """How much is done for each row."""

    most_steps: int = 1_000_000
    """Limit of the training steps."""
    sampling_steps: int = 20

    def cut(self, row: Row) -> Row:
        """The row with at most that many steps; a saved step becomes the last one."""
        if row.bake is None or row.bake.steps <= self.most_steps:
            return row
        return replace(row, bake=replace(row.bake, steps=self.most_steps, save_every=0), step=None)


class Darkroom:
    """ComfyUI in this process with the pocket model loaded once."""

    def __init__(self, host: HostModules, scale: Scale) -> None:
        """Writes the datasets below the host's input folder."""
        self._host, self._scale = host, scale
        add_example_data(host.base / "input")
        write_datasets(host.base / "input")
        self._pocket = PocketModel(*host.load_checkpoint(POCKET_CHECKPOINT))

    def draw(self, row: Row, prompts: Sequence[str]) -> Image.Image:
        """One picture per prompt, side by side; trains first if needed.

        Raises:
            SystemExit: The training failed.
        """
        row = self._scale.cut(row)
        pocket = self._pocket
        if row.bake is not None:
            pocket = with_lora(self._host, pocket, self._trained(row.bake, row.step), row.strength)
        config = SamplerConfig(num_steps=self._scale.sampling_steps, cfg=CFG, seed=SEED, batch_size=len(prompts))
        return Image.fromarray(np.concatenate(list(sample_captions(pocket, prompts, config)), axis=1))

    def _trained(self, bake: Bake, step: int | None) -> Path:
        """The LoRA's file; an interrupted run is resumed, a finished one is found."""
        ended = self._host.run_graph(training_graph(bake))
        if ended.status != "success":
            raise SystemExit(f"Failed: {ended.error}")
        root = self._host.base / "output" / "loras" / bake.name
        return root / f"{bake.name}.safetensors" if step is None else root / f"{bake.name}-step{step:06d}.safetensors"


class Album:
    """A folder of rows that were drawn."""

    def __init__(self, folder: Path, scale: Scale) -> None:
        """Opens the folder; it need not be there."""
        self._folder, self._scale = folder, scale

    def has(self, row: Row, prompts: Sequence[str]) -> bool:
        """Whether the row is there."""
        return self._path(row, prompts).is_file()

    def add(self, row: Row, prompts: Sequence[str], picture: Image.Image) -> None:
        """Keep it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomic(self._path(row, prompts), lambda path: picture.save(path, format="PNG"))

    def take(self, row: Row, prompts: Sequence[str]) -> Image.Image:
        """The row as it was drawn."""
        with Image.open(self._path(row, prompts)) as picture:
            return picture.convert("RGB")

    def _path(self, row: Row, prompts: Sequence[str]) -> Path:
        row = self._scale.cut(row)
        deciding = [row.bake and row.bake.name, row.step, row.strength, *prompts, self._scale.sampling_steps]
        return self._folder / f"{hashlib.blake2b(json.dumps(deciding).encode(), digest_size=8).hexdigest()}.png"


def write_datasets(inputs: Path) -> None:
    """The character with few pictures, and with pictures of one place alone."""
    character = CHARACTERS[CHARACTER]
    for count, name in FEW.items():
        write_oc_dataset(inputs / name, character, count)
    folder = inputs / SAME_PLACE
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(NUM_PICTURES):
        path = folder / f"{index:02d}.png"
        draw_character(character, "sand", random.Random(f"same place {index}")).save(path)
        path.with_suffix(".txt").write_text(character.caption("sand") + "\n", encoding="utf-8")
