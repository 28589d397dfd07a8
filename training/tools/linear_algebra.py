"""Fast singular values: of products of thin factors, and the first few of a large matrix.

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
_ORTHOGONAL = 100
"""Maximum error of a product of two basis vectors, in units of the dtype's precision."""


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
    """The largest `rank` singular values and vectors, fewer if the matrix is smaller.

    A matrix much larger than the rank uses a block Krylov space that starts from a random projection: within 2 per
    mille of the best error if all singular values are alike (noise), within a few millionths if they fall. The draw is
    fixed: equal matrices give equal results.
    """
    width = rank + _OVERSAMPLING
    if 2 * _BLOCKS * width >= min(matrix_OI.shape):
        left, values, right = svd(matrix_OI)
        return SingularValues(left[:, :rank], values[:rank], right[:rank])
    draw = torch.randn(matrix_OI.shape[1], width, generator=generator(0, "top_svd", *matrix_OI.shape, rank))
    # Vectors are rows here: products of few rows with a large matrix are a sixth faster than of few columns.
    basis_BO = matrix_OI.new_empty(_BLOCKS * width, matrix_OI.shape[0])
    products_BI = matrix_OI.new_empty(_BLOCKS * width, matrix_OI.shape[1])
    is_orthonormal = True
    for start in range(0, len(basis_BO), width):
        last, added = slice(start - width, start), slice(start, start + width)
        block_WI = orthonormal(products_BI[last].T).T if start else draw.to(matrix_OI).T
        basis_BO[added], is_outside = _orthonormal_to(basis_BO[:start], block_WI @ matrix_OI.T)
        is_orthonormal &= is_outside
        products_BI[added] = basis_BO[added] @ matrix_OI
    if not is_orthonormal:
        # A matrix of less rank than the block has nothing more to add: rounding was scaled up to vectors that may lie
        # in the span of the others, and would be counted twice.
        basis_BO = orthonormal(basis_BO.T).T
        products_BI = basis_BO @ matrix_OI
    left_BK, values_K, right_KI = svd_of_wide(products_BI)
    return SingularValues(basis_BO.T @ left_BK[:, :rank], values_K[:rank], right_KI[:rank])


def svd_of_wide(matrix_BI: Tensor) -> SingularValues:
    """Thin decomposition of few long rows, as exact as `svd` in a third of the time, by QR of the rows first."""
    right_IB, core_BB = _linalg.qr(matrix_BI.T)
    core = svd(core_BB.T)
    return SingularValues(core.left_OK, core.values_K, core.right_KI @ right_IB.T)


def _orthonormal_to(basis_BO: Tensor, matrix_WO: Tensor) -> tuple[Tensor, bool]:
    """Orthonormal rows for the part of a matrix's row space outside the span of a basis, and whether there is any.

    Repeated where rounding left parts of the basis in them, which happens if little is outside.
    """
    most = _ORTHOGONAL * torch.finfo(matrix_WO.dtype).eps
    shares_WB = matrix_WO @ basis_BO.T
    for _ in range(2):
        matrix_WO = orthonormal((matrix_WO - shares_WB @ basis_BO).T).T
        shares_WB = matrix_WO @ basis_BO.T
        if not len(basis_BO) or float(shares_WB.abs().max()) < most:
            return matrix_WO, True
    return matrix_WO, False


def orthonormal(matrix_OK: Tensor) -> Tensor:
    """An orthonormal basis of the columns, (O, min(O, K))."""
    return _linalg.qr(matrix_OK)[0]


def solve_right(matrix: Tensor, product: Tensor) -> Tensor:
    """X of X @ matrix = product, for stacks of square matrices (..., n, n)."""
    return _linalg.solve(matrix, product, left=False)


def frobenius(matrix: Tensor) -> float:
    """Square root of the sum of squares; rows in the matrix's own dtype, their sum in float64."""
    return float(_linalg.vector_norm(_linalg.vector_norm(matrix, dim=-1), dtype=torch.float64))
