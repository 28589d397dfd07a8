"""Similarity of pictures to references without a neural network, by colors and edge directions.

It suits drawn characters, which palette and shape identify, and needs no face. Colors near the center count most, as
those near the border belong to the background. Pictures may differ in size. `workbench/pocket/likeness.py` measures how
well it tells drawn characters apart.

Shapes: N pictures, H W rows and columns, D numbers that describe a picture.

Sources: color histograms, Swain and Ballard 1991; histograms of oriented gradients, Dalal and Triggs 2005.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate, normalize

SIDE_PX = 64
MIDDLE = 0.5
"""Standard deviation of the weights of colors, in halves of the picture's side."""
COLOR_BINS = 6
"""Per channel."""
CELLS = 4
"""Per side."""
DIRECTIONS = 8
QUIET_EDGES = 0.5
"""Edge energy of a region below which its edges count less, being noise rather than contours."""


def describe(picture_HWC: Tensor) -> Tensor:
    """(D,) of unit length: square roots of a color histogram and edge directions by region, with equal weight."""
    small_1CHW = interpolate(picture_HWC.float().permute(2, 0, 1)[None], (SIDE_PX, SIDE_PX), mode="area")
    color = normalize(_colors(small_1CHW[0]).sqrt(), dim=0)
    edges = normalize(_edges(small_1CHW[0].mean(dim=0)), dim=0)
    return torch.cat([color, edges]) / 2**0.5


def likeness(described_D: Tensor, references_ND: Tensor) -> float:
    """Mean cosine to the references; 1 = the same colors and edges."""
    return float((references_ND @ described_D).mean())


def _colors(picture_CHW: Tensor) -> Tensor:
    """Share of each color, weighted toward the center.

    Every pixel is split between the two nearest bins of a channel, so that the result is continuous.
    """
    place = picture_CHW.clamp(0, 1) * (COLOR_BINS - 1)
    low = place.floor().clamp(max=COLOR_BINS - 2)
    share = place - low
    histogram = picture_CHW.new_zeros(COLOR_BINS**3)
    nearness_HW = _nearness_to_middle()
    for corner in range(8):
        offsets = torch.tensor([corner >> channel & 1 for channel in range(3)]).view(3, 1, 1)
        weight = (torch.where(offsets.bool(), share, 1 - share).prod(dim=0) * nearness_HW).flatten()
        index = (low.long() + offsets).flatten(1)
        histogram.index_add_(0, (index[0] * COLOR_BINS + index[1]) * COLOR_BINS + index[2], weight)
    return histogram / histogram.sum()


def _nearness_to_middle() -> Tensor:
    place = torch.linspace(-1, 1, SIDE_PX)
    return torch.exp(-(place[:, None].square() + place[None, :].square()) / (2 * MIDDLE**2))


def _edges(gray_HW: Tensor) -> Tensor:
    """Edge energy by region and direction, each region normalized."""
    dy, dx = torch.gradient(gray_HW)
    energy, angle = dx.square() + dy.square(), torch.atan2(dy, dx) % torch.pi
    place = angle / torch.pi * DIRECTIONS  # split between the two nearest bins; the last is next to the first
    low, share = place.floor().long(), place - place.floor()
    size = SIDE_PX // CELLS
    rows = torch.arange(SIDE_PX) // size
    region = rows[:, None] * CELLS + rows[None, :]
    histogram = gray_HW.new_zeros(CELLS * CELLS * DIRECTIONS)
    for direction, weight in ((low, 1 - share), (low + 1, share)):
        histogram.index_add_(0, (region * DIRECTIONS + direction % DIRECTIONS).flatten(), (energy * weight).flatten())
    by_region = histogram.view(-1, DIRECTIONS)
    return (by_region / (by_region.square().sum(dim=1, keepdim=True).sqrt() + QUIET_EDGES)).flatten()
