"""Singular values the cheap way: of products of thin factors, and the first few of a large matrix.

Halko, Martinsson, Tropp 2011, "Finding structure with randomness", https://arxiv.org/abs/0909.4061.

Shapes: O rows, I columns, R rank of the factors, K kept singular values.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..rng import generator

_linalg: Any = torch.linalg  # has no types

_OVERSAMPLING = 16
_POWER_ITERATIONS = 4


class SingularValues(NamedTuple):
    """Thin decomposition left_OK @ diag(values_K) @ right_KI, values falling."""

    left_OK: Tensor
    values_K: Tensor
    right_KI: Tensor


def svd(matrix_OI: Tensor) -> SingularValues:
    """Thin singular value decomposition."""
    return SingularValues(*_linalg.svd(matrix_OI, full_matrices=False))


def svd_of_product(up_OR: Tensor, down_RI: Tensor) -> SingularValues:
    """Exact decomposition of up @ down by QR of both: (O + I) R^2 operations, never the (O, I) product."""
    left_OQ, up_QR = _linalg.qr(up_OR)
    right_IP, down_PR = _linalg.qr(down_RI.T)
    core = svd(up_QR @ down_PR.T)
    return SingularValues(left_OQ @ core.left_OK, core.values_K, core.right_KI @ right_IP.T)


def top_svd(matrix_OI: Tensor, rank: int) -> SingularValues:
    """The largest `rank` singular values and vectors, fewer where the matrix is smaller.

    A matrix much larger than the rank goes through a random projection with power iterations: within a fraction of a
    per mille of the best error, twenty times faster. The draw is fixed: equal matrices give equal results.
    """
    width = rank + _OVERSAMPLING
    if 4 * width >= min(matrix_OI.shape):
        left, values, right = svd(matrix_OI)
        return SingularValues(left[:, :rank], values[:rank], right[:rank])
    draw = torch.randn(matrix_OI.shape[1], width, generator=generator(0, "top_svd", *matrix_OI.shape, rank))
    basis = orthonormal(matrix_OI @ draw.to(matrix_OI))
    for _ in range(_POWER_ITERATIONS):
        basis = orthonormal(matrix_OI @ orthonormal(matrix_OI.T @ basis))
    left, values, right = svd(basis.T @ matrix_OI)
    return SingularValues(basis @ left[:, :rank], values[:rank], right[:rank])


def orthonormal(matrix_OK: Tensor) -> Tensor:
    """An orthonormal basis of the columns, (O, min(O, K))."""
    return _linalg.qr(matrix_OK)[0]


def solve_right(matrix: Tensor, product: Tensor) -> Tensor:
    """X of X @ matrix = product, for stacks of square matrices (..., n, n)."""
    return _linalg.solve(matrix, product, left=False)


def frobenius(matrix: Tensor) -> float:
    """Square root of the sum of squares of all elements, summed in float64."""
    return float(matrix.double().square().sum().sqrt())
