"""The change of a weight as a product of thin factors, and its best approximation of a lower rank.

Low-rank files are factored as they are. LoHa's Hadamard product of ranks R is a product of rank R^2 (column-wise and
row-wise Kronecker products of the factors); LoKr's Kronecker product is one of its factors' ranks multiplied.

Shapes: O out, I in with kernel flattened behind it, R rank, K kept rank.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..files.names import is_convolution_3x3
from .deltas import Parts, algorithm_of
from .linear_algebra import SingularValues, frobenius, svd, svd_of_product, top_svd
from .ranks import RankChoice

_MUCH = 1e-2


@dataclass(frozen=True, slots=True)
class Factors:
    """up_OR @ down_RI, to be read in `shape`."""

    up_OR: Tensor
    down_RI: Tensor
    shape: tuple[int, ...]
    """(O, I) or (O, I, kernel height, kernel width)."""

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
    """The change in full, (O, I)."""
    return change.matrix() if isinstance(change, Factors) else change


def factors_of(name: str, parts: Parts) -> Factors | None:
    """Factors of a module's additive change (a DoRA magnitude is not looked at), in float32 or float64.

    None where the file holds the change in full, or where the factors would be no smaller than the matrix.
    """
    values = {suffix: tensor if tensor.dtype == torch.float64 else tensor.float() for suffix, tensor in parts.items()}
    algorithm = algorithm_of(parts)
    if algorithm == "lora":
        return _lora(name, values)
    if algorithm == "loha":
        found = _loha(name, values)
    elif algorithm == "lokr":
        found = _lokr(name, values)
    else:
        return None
    return found if found.rank < min(found.up_OR.shape[0], found.down_RI.shape[1]) else None


def approximate(change: Change, choice: RankChoice, shape: tuple[int, ...]) -> tuple[Factors, float, float]:
    """Best approximation in the Frobenius norm by the rank that `choice` picks; with its error and the change's norm.

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
    # By Pythagoras, unless little is lacking: the difference of two nearly equal numbers is mostly rounding.
    return kept, lacking**0.5 if lacking > _MUCH * norm**2 else frobenius(change - kept.matrix()), norm


def low_rank_parts(factors: Factors) -> dict[str, Tensor]:
    """A module's tensors as files hold them, alpha = rank so that the scale is 1."""
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


def _scale(values: Parts, rank: int) -> float:
    scalar = float(values["scalar"]) if "scalar" in values else 1.0
    return scalar * (float(values["alpha"]) / rank if "alpha" in values else 1.0)


def _lora(name: str, values: Parts) -> Factors:
    up, down = values["lora_up.weight"].flatten(1), values["lora_down.weight"]
    scale = _scale(values, down.shape[0])
    if "lora_mid.weight" in values:
        down = torch.einsum("rs...,si->ri...", values["lora_mid.weight"], down.flatten(1))
    return Factors(up * scale, down.flatten(1), shape_of(name, up.shape[0], down))


def _loha(name: str, values: Parts) -> Factors:
    (up1, down1), (up2, down2) = (_half(values, f"hada_w{i}_a", f"hada_w{i}_b", f"hada_t{i}") for i in (1, 2))
    up = torch.einsum("or,os->ors", up1, up2).flatten(1) * _scale(values, values["hada_w1_b"].shape[0])
    down = (down1.flatten(1)[:, None] * down2.flatten(1)[None]).flatten(0, 1)
    return Factors(up, down, shape_of(name, up.shape[0], down1))


def _lokr(name: str, values: Parts) -> Factors:
    ranks = [values[key].shape[0] for key in ("lokr_w2_b", "lokr_w1_b") if key in values]
    one = values.get("lokr_w1")
    up1, down1 = (values["lokr_w1_a"], values["lokr_w1_b"]) if one is None else _thin(one)
    if "lokr_w2" in values:
        kernel = values["lokr_w2"].shape[2:]
        up2, down2 = _thin(values["lokr_w2"].flatten(1))
        inputs = values["lokr_w2"].shape[1]
    else:
        up2, wide = _half(values, "lokr_w2_a", "lokr_w2_b", "lokr_t2")
        kernel, inputs, down2 = wide.shape[2:], wide.shape[1], wide.flatten(1)
    scale = _scale(values, ranks[0]) if ranks else 1.0
    up, down = torch.kron(up1, up2) * scale, torch.kron(down1, down2)
    tail = down.reshape(down.shape[0], down1.shape[1] * inputs, *kernel)
    return Factors(up, down, shape_of(name, up.shape[0], tail))


def _half(values: Parts, a: str, b: str, core: str) -> tuple[Tensor, Tensor]:
    """Up (O, R) and down (R, I, ...) of one factor of LoHa or LoKr, whose core (Tucker) may be there."""
    if core in values:
        return values[a].T, torch.einsum("rs...,si->ri...", values[core], values[b])
    return values[a], values[b]


def _thin(matrix: Tensor) -> tuple[Tensor, Tensor]:
    identity = torch.eye(min(matrix.shape), dtype=matrix.dtype)
    return (matrix, identity) if matrix.shape[0] >= matrix.shape[1] else (identity, matrix)


def shape_of(name: str, outputs: int, down: Tensor) -> tuple[int, ...]:
    """Shape of the weight; flattened 3x3 kernels are known by the module's name."""
    if down.ndim == 2 and is_convolution_3x3(name) and down.shape[1] % 9 == 0:
        return (outputs, down.shape[1] // 9, 3, 3)
    return (outputs, *down.shape[1:])


def _is_spatial(shape: tuple[int, ...]) -> bool:
    return any(size > 1 for size in shape[2:])
