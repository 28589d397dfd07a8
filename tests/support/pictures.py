"""Pictures, folders and an encoder for tests of `training/data`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from pack.training.data.dataset import Dataset, Subset
from pack.training.data.from_images import subset_from_images
from PIL import Image
from torch import Tensor


def picture(seed: int, width: int = 64, height: int = 64, channels: int = 3) -> np.ndarray:
    """Smooth random colors, uint8 (height, width, channels)."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels), dtype=np.uint8)
    planes = [
        Image.fromarray(coarse[..., c]).resize((width, height), Image.Resampling.BICUBIC) for c in range(channels)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=-1)


def save(path: Path, pixels: np.ndarray, caption: str | None = None) -> Path:
    """A picture file with, if given, its caption file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    if caption is not None:
        path.with_suffix(".txt").write_bytes(caption.encode())
    return path


def tensor(pixels: np.ndarray) -> Tensor:
    """Pixels in 0..1 as ComfyUI has them."""
    return torch.from_numpy(pixels.astype(np.float32) / 255)


def subset(sizes: Sequence[tuple[int, int]], caption: str = "caption", first: int = 0, **settings: object) -> Subset:
    """Pictures of these (width, height), each with its own caption."""
    images = [tensor(picture(first + index, *size)) for index, size in enumerate(sizes)]
    return subset_from_images(images, [f"{caption} {first + index}" for index in range(len(sizes))], **settings)


def dataset(sizes: Sequence[tuple[int, int]], **settings: object) -> Dataset:
    """One subset of pictures of these sizes."""
    return Dataset((subset(sizes, **settings),))


class Encoder:
    """Means of 8x8 pixels and a fourth channel; remembers what it was asked to encode."""

    def __init__(self) -> None:
        self.num_images = 0

    def __call__(self, pixels_BHWC: Tensor) -> Tensor:
        self.num_images += len(pixels_BHWC)
        colors = torch.nn.functional.avg_pool2d(pixels_BHWC.movedim(-1, 1), 8)
        return torch.cat([colors, colors.mean(1, keepdim=True) - 0.5], 1)
