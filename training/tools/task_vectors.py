"""Merging of full changes element by element, against interference between them.

TIES: Yadav et al. 2023, https://arxiv.org/abs/2306.01708. DARE: Yu et al. 2023, https://arxiv.org/abs/2311.03099.
Both are defined on whole weights; here the weights' changes by each LoRA are the task vectors, taken per module.

Shapes: N LoRAs, then the weight's own.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..rng import generator


def ties(changes: Sequence[Tensor], density: float) -> Tensor:
    """Trim, elect sign, merge: the mean of those kept values that agree with the elected sign.

    Of every change the largest `density` share of elements is kept; the sign of their sum is elected per element.
    Strengths are in the changes already.
    """
    trimmed_N = torch.stack([trim(change, density) for change in changes])
    elected = trimmed_N.sum(0).sign()
    agreeing_N = (trimmed_N.sign() == elected) & (trimmed_N != 0)
    return (trimmed_N * agreeing_N).sum(0) / agreeing_N.sum(0).clamp(min=1)


def dare(changes: Sequence[Tensor], density: float, seed: int, module: int) -> Tensor:
    """Drop and rescale: every element stays with chance `density`, divided by it, then all changes are summed.

    Draws are named by seed, module and place of the LoRA, so the result depends on nothing else.
    """
    result = torch.zeros_like(changes[0])
    for place, change in enumerate(changes):
        draw = torch.rand(change.shape, generator=generator(seed, "dare", module, place))
        result += change * (draw < density).to(change) / density
    return result


def trim(change: Tensor, density: float) -> Tensor:
    """The change with all but the largest `density` share of its elements (at least one) set to zero."""
    kept = max(1, round(density * change.numel()))
    indices = change.abs().flatten().topk(kept).indices
    result = torch.zeros_like(change).flatten()
    result[indices] = change.flatten()[indices]
    return result.reshape(change.shape)
