"""Merging of full changes element by element, against interference between them.

TIES: Yadav et al. 2023, https://arxiv.org/abs/2306.01708. DARE: Yu et al. 2023, https://arxiv.org/abs/2311.03099.
Both are defined on whole weights; here the weights' changes by each LoRA are the task vectors, taken per module.
A weight of SDXL has up to 13 million elements: they are passed through in pieces that stay in the processor's cache.

Shapes: the weight's own; P elements of a piece.
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from ..rng import generator

_PIECE = 1 << 17
_BITS: dict[torch.dtype, tuple[torch.dtype, int]] = {torch.float32: (torch.int32, 16), torch.float64: (torch.int64, 48)}
"""Integer type as wide as the floats, and the low bits left out when they are counted: 32768 classes of magnitude."""
_CLASSES = 1 << 15


def ties(changes: Sequence[Tensor], density: float) -> Tensor:
    """Trim, elect sign, merge: the mean of those kept values that agree with the elected sign.

    Of every change the largest `density` share of elements is kept; the sign of their sum is elected per element.
    Strengths are in the changes already. All float32 or all float64.
    """
    least = [smallest_kept(change, density) for change in changes]
    merged = torch.empty_like(changes[0], memory_format=torch.contiguous_format)
    for result_P, *pieces in _in_pieces([merged, *changes]):
        kept = [torch.where(piece_P.abs() >= limit, piece_P, 0) for piece_P, limit in zip(pieces, least, strict=True)]
        elected_P = sum(kept[1:], start=kept[0]).sign()
        total_P, count_P = torch.zeros_like(result_P), torch.zeros_like(result_P)
        for value_P in kept:
            agrees_P = value_P * elected_P > 0
            total_P += value_P * agrees_P
            count_P += agrees_P
        torch.div(total_P, count_P.clamp_(min=1), out=result_P)
    return merged


def dare(changes: Sequence[Tensor], density: float, seed: int, module: str) -> Tensor:
    """Drop and rescale: every element stays with chance `density`, divided by it, then all changes are summed.

    Draws are named by seed, module and place of the LoRA, so the result depends on nothing else.
    """
    draws = [generator(seed, f"dare {module}", place) for place in range(len(changes))]
    merged = torch.empty_like(changes[0], memory_format=torch.contiguous_format)
    for result_P, *pieces in _in_pieces([merged, *changes]):
        kept = [
            torch.where(torch.rand(len(piece_P), generator=draw) < density, piece_P, 0)
            for piece_P, draw in zip(pieces, draws, strict=True)
        ]
        torch.div(torch.stack(kept).sum(0), density, out=result_P)
    return merged


def smallest_kept(change: Tensor, density: float) -> Tensor:
    """Magnitude that the largest `density` share of the elements (at least one) have at least, exactly; a scalar.

    Elements are counted by the leading bits of their magnitude, which order as the numbers do, then the one class that
    the limit falls into is sorted: a small part of the time of sorting all.
    """
    kept = max(1, round(density * change.numel()))
    kind, shift = _BITS[change.dtype]
    count = torch.zeros(_CLASSES, dtype=torch.int64)
    for (piece_P,) in _in_pieces([change]):
        count += torch.bincount(piece_P.abs().view(kind) >> shift, minlength=_CLASSES)
    at_least = count.flip(0).cumsum(0).flip(0)
    limit = int((at_least >= kept).nonzero().max())
    same = [piece_P.abs()[piece_P.abs().view(kind) >> shift == limit] for (piece_P,) in _in_pieces([change])]
    place = kept - int(at_least[limit] - count[limit])
    return torch.cat(same).sort(descending=True).values[place - 1]


def _in_pieces(tensors: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """The same elements of all tensors, piece by piece; a contiguous tensor's pieces are views of it."""
    flat = [tensor.reshape(-1) for tensor in tensors]
    for start in range(0, flat[0].numel(), _PIECE):
        yield tuple(one[start : start + _PIECE] for one in flat)
