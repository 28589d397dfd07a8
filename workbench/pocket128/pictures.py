"""What the VAE learns from and is measured on: doodles, the world's figures, and pictures of a folder.

A batch is drawn from (seed, step) alone, so a continued run sees what an uninterrupted one sees.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .doodles import GROUNDS, any_color, draw_doodle
from .pen import SIZE_PX
from .world.drawing import draw_figure
from .world.figure import random_figure


@dataclass(frozen=True)
class Sources:
    """Where pictures come from."""

    stickers: tuple[Path, ...] = ()
    """PNG files with transparency that are laid on plain grounds; none = only what is drawn here."""
    sticker_share: float = 0.3
    world_share: float = 0.35
    """Of the pictures that are drawn here."""

    def draw(self, rng: random.Random) -> Image.Image:
        """One picture, RGB 128x128."""
        if self.stickers and rng.random() < self.sticker_share:
            return self._lay_stickers(rng)
        return draw_figure(random_figure(rng)) if rng.random() < self.world_share else draw_doodle(rng)

    def _lay_stickers(self, rng: random.Random) -> Image.Image:
        ground = rng.choice(GROUNDS) if rng.random() < 0.6 else any_color(rng)
        picture = Image.new("RGB", (SIZE_PX, SIZE_PX), ground)
        for _ in range(rng.choice((1, 1, 2, 3))):
            side = rng.randint(40, 125)
            sticker = Image.open(rng.choice(self.stickers)).convert("RGBA").resize((side, side), Image.Resampling.BOX)
            at = rng.randint(-side // 4, SIZE_PX - side * 3 // 4), rng.randint(-side // 4, SIZE_PX - side * 3 // 4)
            picture.paste(sticker, at, sticker)
        return picture


def find_stickers(folder: Path | None) -> tuple[Path, ...]:
    """The PNG files of a folder, in the order of their names; none without a folder.

    Raises:
        ValueError: The folder holds none.
    """
    if folder is None:
        return ()
    if not (found := tuple(sorted(folder.glob("*.png")))):
        raise ValueError(f"--stickers {folder} holds no .png file; name a folder of pictures with transparency")
    return found


def training_crops(sources: Sources, count: int, side_px: int, rng: random.Random) -> Tensor:
    """Pieces (B, 3, side, side) in 0..1 of different pictures, some flipped, some with their color channels swapped."""
    pieces = []
    for _ in range(count):
        picture = np.asarray(sources.draw(rng))
        piece = max((_crop(picture, side_px, rng) for _ in range(2)), key=lambda piece: piece.var((0, 1)).sum())
        if rng.random() < 0.5:
            piece = piece[:, ::-1]
        if rng.random() < 0.3:
            piece = piece[..., rng.sample(range(3), 3)]
        pieces.append(piece)
    return to_images(np.stack(pieces))


def held_out_pictures(count: int) -> Tensor:
    """Pictures (N, 3, 128, 128) in 0..1 whose seeds training never uses, drawn without a folder."""
    drawn = [np.asarray(Sources().draw(random.Random(f"held-out-{index}"))) for index in range(count)]
    return to_images(np.stack(drawn))


def to_images(pictures: np.ndarray) -> Tensor:
    """A batch (B, 3, H, W) in 0..1 of pictures (B, H, W, 3) uint8."""
    images = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float().div(255)
    return images.contiguous(memory_format=torch.channels_last)


def _crop(picture: np.ndarray, side: int, rng: random.Random) -> np.ndarray:
    x, y = rng.randint(0, SIZE_PX - side), rng.randint(0, SIZE_PX - side)
    return picture[y : y + side, x : x + side]
