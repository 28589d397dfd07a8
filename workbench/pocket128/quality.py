"""How true the VAE's pictures are: peak signal-to-noise ratio, in dB, of whole pictures through both halves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from .autoencoder import Autoencoder
from .pictures import to_images


@torch.no_grad()
def round_trip(vae: Autoencoder, images: Tensor, batch_size: int = 8) -> Tensor:
    """Pictures (N, 3, H, W) in 0..1 encoded, decoded and clamped."""
    return torch.cat([vae.decode(vae.encode(batch)).clamp(0, 1) for batch in images.split(batch_size)])


def decibels(decoded: Tensor, images: Tensor) -> Tensor:
    """The ratio (N,) in dB of each picture; values are 0..1."""
    return -10 * (decoded - images).square().mean((1, 2, 3)).clamp(min=1e-10).log10()


def load_styles(folder: Path) -> dict[str, Tensor]:
    """Pictures (N, 3, H, W) by style; a file is named `style-anything.png`.

    Raises:
        ValueError: The folder holds no picture.
    """
    by_style: dict[str, list[np.ndarray]] = {}
    for path in sorted(folder.glob("*.png")):
        by_style.setdefault(path.stem.split("-")[0], []).append(np.asarray(Image.open(path).convert("RGB")))
    if not by_style:
        raise ValueError(f"{folder} holds no .png file; write some with avatars.mjs")
    return {style: to_images(np.stack(pictures)) for style, pictures in by_style.items()}


def style_decibels(vae: Autoencoder, styles: dict[str, Tensor]) -> dict[str, float]:
    """The mean ratio in dB of each style's pictures."""
    return {style: float(decibels(round_trip(vae, images), images).mean()) for style, images in styles.items()}
