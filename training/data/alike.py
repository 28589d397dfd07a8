"""Finds different files that show the same picture: copies that were saved or scaled again.

Shapes: N pictures in order of brightness, R of them compared with the C that follow, P values of a thumbnail in 0..1.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from PIL import Image
from torch import Tensor

from .images import ImageItem, pixels_HWC, read_rgb_and_mask

THUMBNAIL_SIZE = (16, 16)
MOST_APART = 2.5 / 255
"""Mean difference of two thumbnails that look alike."""
SAME_ASPECT = 1.05
COMPARED_AT_ONCE = 64
MAX_PAIRS = 1000


class Alike(NamedTuple):
    """Pairs of pictures that look alike, by their places, in order."""

    pairs: list[tuple[int, int]]
    """At most `MAX_PAIRS`."""
    num_pairs: int
    """All of them."""


def near_duplicates(items: Sequence[ImageItem]) -> Alike:
    """Pairs that look alike: their 16x16 thumbnails differ by at most 1 percent on average, and their shapes agree.

    Reads every picture once.

    Raises:
        OSError: A picture cannot be read.
    """
    with ThreadPoolExecutor() as pool:
        thumbnails_NP = torch.stack(list(pool.map(_thumbnail, items)))
    aspect_N = torch.tensor([item.width / item.height for item in items], dtype=torch.float64)
    found: list[tuple[int, int]] = []
    num_pairs = 0
    for pairs_K2 in _close(thumbnails_NP):
        aspects_K2 = aspect_N[pairs_K2]
        has_same_aspect_K = aspects_K2.amax(1) / aspects_K2.amin(1) < SAME_ASPECT
        pairs_K2 = pairs_K2[has_same_aspect_K]
        num_pairs += len(pairs_K2)
        for one, other in zip(*pairs_K2[: MAX_PAIRS - len(found)].unbind(1), strict=True):
            found.append((min(int(one), int(other)), max(int(one), int(other))))
    return Alike(sorted(found), num_pairs)


def _close(thumbnails_NP: Tensor) -> Iterator[Tensor]:
    """Places (K, 2) of pairs whose thumbnails are close.

    Two pictures differ at least by the difference of their means, so that each is compared with those of about its
    brightness alone.
    """
    mean_N, order_N = thumbnails_NP.mean(1).sort()
    for start in range(0, len(order_N), COMPARED_AT_ONCE):
        rows_R = order_N[start : start + COMPARED_AT_ONCE]
        brightest = mean_N[start + len(rows_R) - 1] + MOST_APART + 1e-6  # rounding of the means
        columns_C = order_N[start : int(torch.searchsorted(mean_N, brightest, right=True))]
        apart_RC = torch.cdist(thumbnails_NP[rows_R], thumbnails_NP[columns_C], p=1) / thumbnails_NP.shape[1]
        close_K2 = torch.triu(apart_RC <= MOST_APART, diagonal=1).nonzero()
        yield torch.stack([rows_R[close_K2[:, 0]], columns_C[close_K2[:, 1]]], dim=1)


def _thumbnail(item: ImageItem) -> Tensor:
    image, _ = read_rgb_and_mask(item, use_alpha_mask=False)
    return pixels_HWC(image.resize(THUMBNAIL_SIZE, Image.Resampling.BOX)).flatten()
