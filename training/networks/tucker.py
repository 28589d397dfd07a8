"""Tucker form of a convolution's factor in LyCORIS files: a core (R, R, K, K) between two plain matrices.

With the core folded into the second matrix, it is an ordinary pair of factors. Shapes: R rank, O out, I in, K kernel.
"""

from collections.abc import Mapping

import torch
from torch import Tensor


def fold(core: Tensor, down: Tensor) -> Tensor:
    """The core (R, R, K, K) multiplied into `down` (R, I[, 1, 1]), giving (R, I, K, K)."""
    return torch.einsum("rs...,si->ri...", core, down.flatten(1))


def pair(tensors: Mapping[str, Tensor], a: str, b: str, core: str) -> tuple[Tensor, Tensor]:
    """Factors (O, R) and (R, I[, K, K]) of LoHa and LoKr; with a core, files store `a` as (R, O).

    OneTrainer stores the `a` of a convolution as (O, R, 1, 1).
    """
    if core in tensors:
        return tensors[a].flatten(1).mT.contiguous(), fold(tensors[core], tensors[b])
    return tensors[a].flatten(1), tensors[b]
