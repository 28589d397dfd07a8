"""Shrinking by averaging areas: each new pixel is the mean of exactly what it covers.

Pillow's box filter counts a pixel wholly or not at all, so where the scale is no whole number lines of one width come
out thick and thin.
"""

import math

import numpy as np
import torch
from PIL import Image
from torch import Tensor


def shrink(image: Image.Image, size: tuple[int, int]) -> Image.Image:
    """The picture (8 bits a channel) at a smaller (width, height)."""
    rows = _means(torch.tensor(np.asarray(image)), size[1])
    columns = _means(rows.transpose(0, 1).contiguous(), size[0])
    return Image.fromarray(columns.transpose(0, 1).round().to(torch.uint8).contiguous().numpy())


def _means(values: Tensor, count: int) -> Tensor:
    """Means over so many equal parts of the first axis, float32: each old pixel times the share of it in the part."""
    length = len(values) / count
    edges = torch.arange(count + 1, dtype=torch.float64) * length
    total = torch.zeros(count, *values.shape[1:])
    for place in range(math.ceil(length) + 1):
        pixel = edges[:-1].floor() + place
        share = (torch.minimum(edges[1:], pixel + 1) - torch.maximum(edges[:-1], pixel)).clamp(min=0) / length
        share = share.float().reshape(-1, *[1] * (values.ndim - 1))
        total += share * values[pixel.long().clamp(max=len(values) - 1)]
    return total
