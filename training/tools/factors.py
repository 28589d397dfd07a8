"""The change of a weight as a product of thin factors (from its form), and its best lower-rank approximation.

Shapes: O out, I in with the kernel flattened, R rank, K kept rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..files.names import is_convolution_3x3
from ..networks.algorithms import form_of
from .deltas import Parts, as_float
from .linear_algebra import SingularValues, frobenius, svd, svd_of_product, top_svd
from .ranks import RankChoice

_MUCH = 1e-2


@dataclass(frozen=True, slots=True)
class Factors:
    """up_OR @ down_RI, to be reshaped to `shape`."""

    up_OR: Tensor
    down_RI: Tensor
    shape: tuple[int, ...]
    """(O, I) or (O, I, kernel height, kernel width)."""
    is_plain: bool = False
    """Whether a file's own factors have this rank, as a LoRA's do, so that keeping it loses nothing."""

    @property
    def rank(self) -> int:
        """Width of the factors."""
        return self.down_RI.shape[0]

    def matrix(self) -> Tensor:
        """The product as a matrix (O, I)."""
        return self.up_OR @ self.down_RI


Change = Factors | Tensor
"""A change of a weight: as factors, or in full as a matrix (O, I)."""


def as_matrix(change: Change) -> Tensor:
    """The full change, (O, I)."""
    return change.matrix() if isinstance(change, Factors) else change


def factors_of(name: str, parts: Parts) -> Factors | None:
    """Factors of a module's additive change (without a DoRA magnitude), in float32 or float64.

    None if the form has no factors, or if they would not be smaller than the matrix although the file's are.
    """
    form = form_of(parts)
    if form is None or form.factors is None:
        return None
    up, down = form.factors({suffix: as_float(tensor) for suffix, tensor in parts.items()})
    is_plain = down.shape[0] == form.rank(parts)
    found = Factors(up, down.flatten(1), shape_of(name, up.shape[0], down), is_plain)
    return found if is_plain or found.rank < min(found.up_OR.shape[0], found.down_RI.shape[1]) else None


def approximate(change: Change, choice: RankChoice, shape: tuple[int, ...]) -> tuple[Factors, float, float]:
    """Best approximation in the Frobenius norm with the rank that `choice` selects; with its error and the norm.

    Both factors carry the square roots of the singular values, which keeps small changes within half precision.
    """
    is_conv = _is_spatial(shape)
    if isinstance(change, Factors):
        found = svd_of_product(change.up_OR, change.down_RI)
        norm = frobenius(found.values_K)
    else:
        found = svd(change) if choice.needs_all_values else top_svd(change, choice.limit(is_conv=is_conv))
        norm = frobenius(change)
    rank = min(choice.pick(found.values_K, norm, is_conv=is_conv), len(found.values_K))
    kept = _balanced(found, rank, shape)
    if isinstance(change, Factors):
        return kept, frobenius(found.values_K[rank:]), norm
    lacking = norm**2 - frobenius(found.values_K[:rank]) ** 2
    # By Pythagoras, unless little is missing: the difference of nearly equal numbers is mostly rounding.
    return kept, lacking**0.5 if lacking > _MUCH * norm**2 else frobenius(change - kept.matrix()), norm


def low_rank_parts(factors: Factors) -> dict[str, Tensor]:
    """A module's tensors in the form of files, with alpha = rank so that the scale is 1."""
    outputs, inputs, *kernel = factors.shape
    ones = [1] * len(kernel)
    return {
        "lora_down.weight": factors.down_RI.reshape(factors.rank, inputs, *kernel).contiguous(),
        "lora_up.weight": factors.up_OR.reshape(outputs, factors.rank, *ones).contiguous(),
        "alpha": torch.tensor(float(factors.rank)),
    }


def _balanced(found: SingularValues, rank: int, shape: tuple[int, ...]) -> Factors:
    root_K = found.values_K[:rank].sqrt()
    return Factors(found.left_OK[:, :rank] * root_K, root_K[:, None] * found.right_KI[:rank], shape)


def shape_of(name: str, outputs: int, down: Tensor) -> tuple[int, ...]:
    """Shape of the weight; flattened 3x3 kernels are recognized by the module's name."""
    if down.ndim == 2 and is_convolution_3x3(name) and down.shape[1] % 9 == 0:
        return (outputs, down.shape[1] // 9, 3, 3)
    return (outputs, *down.shape[1:])


def _is_spatial(shape: tuple[int, ...]) -> bool:
    return any(size > 1 for size in shape[2:])
