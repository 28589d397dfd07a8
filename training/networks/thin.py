"""A change of little rank, known as a whole, as the two thin matrices it is a product of.

Shapes: O out, I in, K kernel, R rank.
"""

from typing import Any

import torch
from torch import Tensor

from .adapter import alpha_tensor, frobenius

_linalg: Any = torch.linalg  # has no types
NOTHING = 1e-5
"""Share of a change below which a difference is rounding."""
THIN_SHARE = 0.5
"""A product of thin matrices is written where it takes at most this share of the whole change's numbers."""


def is_alike(one: Tensor, other: Tensor, weight: Tensor) -> bool:
    """Whether two changes of a weight differ by rounding alone."""
    rounding = torch.finfo(weight.dtype).eps * frobenius(weight)
    return bool(frobenius(one - other) <= NOTHING * frobenius(other) + rounding)


def thin(change: Tensor, rank: int) -> dict[str, Tensor] | None:
    """A change of little rank as LoRA's tensors; None where it has more than pays. `rank` is the one asked for.

    The rank of a sum of two products is found too. A random projection finds the rows' space (Halko et al. 2011,
    https://arxiv.org/abs/0909.4061); the draw is fixed.
    """
    matrix_OI = change.flatten(1)
    rows, columns = matrix_OI.shape
    width = 2 * rank
    if width * (rows + columns) > THIN_SHARE * rows * columns:
        return None
    draw_IR = torch.randn(columns, width, generator=torch.Generator().manual_seed(0)).to(matrix_OI)
    up_OR = _linalg.qr(matrix_OI @ draw_IR)[0]
    down_RI = up_OR.T @ matrix_OI
    if bool(frobenius(up_OR @ down_RI - matrix_OI) > NOTHING * frobenius(matrix_OI)):
        return None
    up = up_OR.reshape(rows, width, *[1] * (change.dim() - 2))
    down = down_RI.reshape(width, *change.shape[1:])
    return {"lora_up.weight": up, "lora_down.weight": down, "alpha": alpha_tensor(width)}
