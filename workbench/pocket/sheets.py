"""Contact sheets of small pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor


def to_uint8(images: Tensor) -> np.ndarray:
    """Pictures (B, H, W, 3) uint8 of a tensor (B, 3, H, W) in about 0..1."""
    clamped = images.detach().float().clamp(0, 1).permute(0, 2, 3, 1).mul(255).round()
    return clamped.numpy().astype(np.uint8)


def save_sheet(path: Path, images: Tensor, columns: int, zoom: int = 2) -> None:
    """Writes the pictures (B, 3, H, W) as a grid, row by row, each pixel `zoom` pixels wide."""
    pictures = to_uint8(images)
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = Image.new("RGB", (columns * width, rows * height), (60, 60, 60))
    for index, picture in enumerate(pictures):
        sheet.paste(Image.fromarray(picture), (index % columns * width, index // columns * height))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST).save(path, optimize=True)
