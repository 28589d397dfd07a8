"""Singular values the cheap way: of products of thin factors, and the first few of a large matrix.

Halko, Martinsson, Tropp 2011, "Finding structure with randomness", https://arxiv.org/abs/0909.4061; Musco, Musco 2015,
"Randomized block Krylov methods", https://arxiv.org/abs/1504.05477.

Shapes: O rows, I columns, R rank of the factors, K kept singular values, W width of a block, B of all blocks so far.
"""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..rng import generator

_linalg: Any = torch.linalg  # has no types

_OVERSAMPLING = 8
_BLOCKS = 4
_ORTHOGONAL = 1e-5
"""Most that a product of two columns of a basis may be off."""


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

    A matrix much larger than the rank goes through a block Krylov space that starts from a random projection: within
    2 per mille of the best error where all singular values are alike (noise), within a few millionths where they fall.
    The draw is fixed: equal matrices give equal results.
    """
    width = rank + _OVERSAMPLING
    if 2 * _BLOCKS * width >= min(matrix_OI.shape):
        left, values, right = svd(matrix_OI)
        return SingularValues(left[:, :rank], values[:rank], right[:rank])
    draw = torch.randn(matrix_OI.shape[1], width, generator=generator(0, "top_svd", *matrix_OI.shape, rank))
    block_IW = draw.to(matrix_OI)
    basis_OB = matrix_OI.new_zeros(matrix_OI.shape[0], 0)
    rows: list[Tensor] = []
    for _ in range(_BLOCKS):
        new_OW = matrix_OI @ block_IW
        for _ in range(2):  # once leaves what rounding put into the span of the basis
            new_OW = orthonormal(new_OW - basis_OB @ (basis_OB.T @ new_OW))
        basis_OB = torch.cat([basis_OB, new_OW], 1)
        product_IW = matrix_OI.T @ new_OW
        rows.append(product_IW.T)
        block_IW = orthonormal(product_IW)
    rows_BI = torch.cat(rows)
    if not _is_orthonormal(basis_OB):
        # A matrix of less rank than the block has nothing more to add: rounding was scaled up to columns that may lie
        # in the span of the others, and would be counted twice.
        basis_OB = orthonormal(basis_OB)
        rows_BI = basis_OB.T @ matrix_OI
    left, values, right = svd(rows_BI)
    return SingularValues(basis_OB @ left[:, :rank], values[:rank], right[:rank])


def orthonormal(matrix_OK: Tensor) -> Tensor:
    """An orthonormal basis of the columns, (O, min(O, K))."""
    return _linalg.qr(matrix_OK)[0]


def _is_orthonormal(basis_OB: Tensor) -> bool:
    products = basis_OB.T @ basis_OB
    products.diagonal().sub_(1)
    return float(products.abs().max()) < _ORTHOGONAL


def solve_right(matrix: Tensor, product: Tensor) -> Tensor:
    """X of X @ matrix = product, for stacks of square matrices (..., n, n)."""
    return _linalg.solve(matrix, product, left=False)


def frobenius(matrix: Tensor) -> float:
    """Square root of the sum of squares of all elements; rows in the matrix's own type, their sum in float64."""
    return float(_linalg.vector_norm(_linalg.vector_norm(matrix, dim=-1), dtype=torch.float64))
