"""The change of a weight, from one module's tensors in a LoRA file, for every algorithm that files hold.

Written from the papers' formulas and checked against LyCORIS and the host's loader. Where these two differ, this is
what was trained (LyCORIS): see `rotation` and `decompose`.
LoRA 2106.09685, LyCORIS (LoHa, LoKr, IA3, GLoRA, full) 2309.14859, DoRA 2402.09353, OFT 2306.07280, BOFT 2311.06243.

Shapes: O out, I in, R rank, K kernel height and width (absent for linear layers).
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from ..files.types import is_finite
from .linear_algebra import solve_right

Parts = Mapping[str, Tensor]
"""Tensors of one module by suffix: `lora_up.weight`, `alpha`, ..."""

BIAS_SUFFIXES = ("diff_b", "b_norm")
"""Changes of the bias; every other tensor is about the weight."""

_SIGNS = {
    "hada_w1_a": "loha",
    "lokr_w1": "lokr",
    "lokr_w1_a": "lokr",
    "a1.weight": "glora",
    "oft_blocks": "oft",
    "on_input": "ia3",
    "diff": "full",
    "w_norm": "norm",
    "set_weight": "set",
    "lora_up.weight": "lora",
    "diff_b": "bias",
    "b_norm": "bias",
}


_NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "lora": (("lora_up.weight",), ("lora_down.weight",)),
    "loha": (("hada_w1_a",), ("hada_w1_b",), ("hada_w2_a",), ("hada_w2_b",)),
    "lokr": (("lokr_w1", "lokr_w1_a"), ("lokr_w1", "lokr_w1_b"), ("lokr_w2", "lokr_w2_a"), ("lokr_w2", "lokr_w2_b")),
    "glora": (("a1.weight",), ("a2.weight",), ("b1.weight",), ("b2.weight",)),
    "ia3": (("weight",), ("on_input",)),
}
"""Tensors of an algorithm, each by the names it may have."""


def algorithm_of(parts: Parts) -> str:
    """lora, loha, lokr, glora, oft, boft, ia3, full, norm, set or bias; `unknown` for anything else."""
    found = next((algorithm for sign, algorithm in _SIGNS.items() if sign in parts), "unknown")
    return "boft" if found == "oft" and parts["oft_blocks"].ndim == 4 else found


def check_module(name: str, parts: Parts) -> None:
    """Refuse a broken module before its NaN spreads.

    Raises:
        ValueError: It holds NaN or infinity, is of no known kind, lacks a tensor, or its factors do not fit each other.
    """
    if algorithm_of(parts) == "unknown":
        raise ValueError(f"lora: {name} is of no known kind ({', '.join(sorted(parts))}); get the file again")
    check_complete(name, parts)
    check_finite(name, parts)


def check_finite(name: str, parts: Parts) -> None:
    """Refuse a module that would make all of a model's results NaN.

    Raises:
        ValueError: It holds NaN or infinity.
    """
    if not all(is_finite(tensor) for tensor in parts.values()):
        raise ValueError(f"lora: {name} holds NaN or infinity, the file is broken; take an earlier step of it")


def check_complete(name: str, parts: Parts) -> None:
    """Refuse a module that is only a part of one.

    Raises:
        ValueError: It lacks a tensor, or its factors do not fit each other.
    """
    algorithm = algorithm_of(parts)
    lacking = [names[0] for names in _NEEDED.get(algorithm, ()) if not set(names) & set(parts)]
    if lacking:
        raise ValueError(f"lora: {name} lacks {', '.join(lacking)}, the file is broken; get it again")
    if algorithm == "lora" and "lora_mid.weight" not in parts:
        widths = parts["lora_up.weight"].shape[1], parts["lora_down.weight"].shape[0]
        if widths[0] != widths[1]:
            raise ValueError(f"lora: {name} has rank {widths[0]} above and {widths[1]} below; get the file again")


def needs_weight(parts: Parts) -> bool:
    """Whether the change depends on the base weight, so that it cannot be known from the file alone."""
    return "dora_scale" in parts or algorithm_of(parts) in ("glora", "oft", "boft", "ia3", "set")


def delta_weight(parts: Parts, weight: Tensor | None = None, shape: torch.Size | None = None) -> Tensor:
    """The change of the weight at strength 1, (O, I, *K).

    It has the type of `weight`, else float32 (float64 stays). Without `weight`, give its `shape` where known: a
    flattened convolution in a file does not tell its kernel.

    Raises:
        ValueError: The algorithm is unknown, or needs the base weight and there is none.
    """
    algorithm = algorithm_of(parts)
    if weight is None and needs_weight(parts):
        what = "dora_scale" if "dora_scale" in parts else algorithm
        raise ValueError(
            f"weight: a change by {what} depends on the base model's weight; give the model it was made for"
        )
    values = {suffix: _as_float(tensor, weight) for suffix, tensor in parts.items()}
    delta = _additive(algorithm, values, weight)
    target = weight.shape if weight is not None else shape
    if target is not None:
        if target.numel() != delta.numel():
            raise ValueError(
                f"shape of the change must be {tuple(target)}, got {tuple(delta.shape)}; another base model?"
            )
        delta = delta.reshape(target)
    if "dora_scale" in values and weight is not None:
        return decompose(weight, delta, values["dora_scale"]) - weight
    return delta


def bias_change(parts: Parts) -> Tensor | None:
    """The change of the bias at strength 1, (O,), or None."""
    found = next((parts[suffix] for suffix in BIAS_SUFFIXES if suffix in parts), None)
    return None if found is None else _as_float(found, None)


def decompose(weight: Tensor, delta: Tensor, magnitude: Tensor) -> Tensor:
    """DoRA: the changed weight with the length of every row or column set to the learned magnitude.

    `magnitude` is (O, 1, ...) for rows or (1, I, ...) for columns. The length replaced is that of the changed weight;
    for rows the host divides by the base weight's length instead.
    """
    changed = weight + delta
    by_row = magnitude.shape[0] == weight.shape[0] and weight.shape[0] != 1
    axes = [axis for axis in range(weight.ndim) if axis != (0 if by_row else 1)]
    length = changed.square().sum(dim=axes, keepdim=True).sqrt() + torch.finfo(weight.dtype).eps
    return changed * (magnitude.reshape(length.shape) / length)


def rotation(blocks: Tensor, limit: float) -> Tensor:
    """Cayley transform (I + Q)(I - Q)^-1 of the skew part Q of each block, (..., n, n), orthogonal.

    A positive `limit` caps the norm of all Q together.
    """
    skew = blocks - blocks.transpose(-1, -2)
    norm = float(skew.square().sum().sqrt()) + 1e-8
    if 0 < limit < norm:
        skew = skew * (limit / norm)
    identity = torch.eye(blocks.shape[-1], dtype=blocks.dtype, device=blocks.device).expand_as(blocks)
    return solve_right(identity - skew, identity + skew)


def _additive(algorithm: str, parts: Parts, weight: Tensor | None) -> Tensor:
    if algorithm in ("full", "norm"):
        return parts["diff" if algorithm == "full" else "w_norm"]
    if algorithm in _FILE_ONLY:
        return _FILE_ONLY[algorithm](parts)
    if weight is None or algorithm not in _BASED:
        known = ", ".join([*_FILE_ONLY, *_BASED, "full", "norm"])
        raise ValueError(f"algorithm must be one of {known}, got tensors {', '.join(sorted(parts))}")
    return _BASED[algorithm](parts, weight)


def _scale(parts: Parts, rank: int) -> Tensor | float:
    scalar = parts.get("scalar", 1.0)
    return (parts["alpha"] / rank if "alpha" in parts else 1.0) * scalar


def _lora(parts: Parts) -> Tensor:
    up_OR, down = parts["lora_up.weight"].flatten(1), parts["lora_down.weight"]
    scale = _scale(parts, down.shape[0])
    if "lora_mid.weight" in parts:
        return _tucker(parts["lora_mid.weight"], up_OR.T, down.flatten(1)) * scale
    return (up_OR @ down.flatten(1)).reshape(up_OR.shape[0], *down.shape[1:]) * scale


def _loha(parts: Parts) -> Tensor:
    rank = parts["hada_w1_b"].shape[0]
    one, two = (_product(parts, f"hada_w{i}_a", f"hada_w{i}_b", f"hada_t{i}") for i in (1, 2))
    return one * two * _scale(parts, rank)


def _lokr(parts: Parts) -> Tensor:
    ranks = [parts[name].shape[0] for name in ("lokr_w2_b", "lokr_w1_b") if name in parts]
    one = parts["lokr_w1"] if "lokr_w1" in parts else parts["lokr_w1_a"] @ parts["lokr_w1_b"]
    two = parts["lokr_w2"] if "lokr_w2" in parts else _product(parts, "lokr_w2_a", "lokr_w2_b", "lokr_t2")
    one = one.reshape(*one.shape, *[1] * (two.ndim - 2))
    # Two full factors have no rank to scale by; alpha is not read then.
    return torch.kron(one, two.contiguous()) * (_scale(parts, ranks[0]) if ranks else 1.0)


def _product(parts: Parts, a: str, b: str, core: str) -> Tensor:
    return _tucker(parts[core], parts[a], parts[b]) if core in parts else parts[a] @ parts[b].flatten(1)


def _tucker(core_RRK: Tensor, out_RO: Tensor, in_RI: Tensor) -> Tensor:
    return torch.einsum("rs...,ro,si->oi...", core_RRK, out_RO, in_RI)


def _glora(parts: Parts, weight: Tensor) -> Tensor:
    a1, a2, b1, b2 = (parts[f"{name}.weight"].flatten(1) for name in ("a1", "a2", "b1", "b2"))
    if a1.shape[0] < a1.shape[1]:  # files of early LyCORIS name the factors the other way round
        a1, a2, b1, b2 = a2, a1, b2, b1
    b = _tucker(parts["bm.weight"], b1.T, b2) if "bm.weight" in parts else b1 @ b2
    return (torch.einsum("oi...,ij->oj...", weight, a1 @ a2) + b.reshape(weight.shape)) * _scale(parts, a1.shape[1])


def _oft(parts: Parts, weight: Tensor) -> Tensor:
    blocks = parts["oft_blocks"]
    turn = rotation(blocks, _limit(parts, weight))
    rows = weight.reshape(blocks.shape[0], blocks.shape[1], -1)
    return torch.einsum("knm,kni->kmi", turn, rows).reshape(weight.shape) * parts.get("rescale", 1.0) - weight


def _boft(parts: Parts, weight: Tensor) -> Tensor:
    turns = rotation(parts["oft_blocks"], _limit(parts, weight))
    size = turns.shape[-1]
    rows = weight.flatten(1)
    for stage, turn in enumerate(turns):
        # Stage i mixes rows 2^i * size / 2 apart: bring them together, rotate, put them back.
        stride = 2**stage * size // 2
        order = torch.arange(rows.shape[0], device=rows.device).reshape(-1, 2, stride).transpose(1, 2).flatten()
        mixed = torch.einsum("bij,bjk->bik", turn, rows[order].reshape(-1, size, rows.shape[1])).flatten(0, 1)
        rows = torch.empty_like(mixed).index_copy_(0, order, mixed)
    return rows.reshape(weight.shape) * parts.get("rescale", 1.0) - weight


def _ia3(parts: Parts, weight: Tensor) -> Tensor:
    axis = 1 if bool(parts["on_input"]) else 0
    return weight * parts["weight"].reshape([-1 if i == axis else 1 for i in range(weight.ndim)])


def _set(parts: Parts, weight: Tensor) -> Tensor:
    return parts["set_weight"].reshape(weight.shape) - weight


def _limit(parts: Parts, weight: Tensor) -> float:
    """LyCORIS writes the constraint per output as alpha, and trains with it times the outputs."""
    return float(parts["alpha"]) * weight.shape[0] if "alpha" in parts else 0.0


def _as_float(tensor: Tensor, weight: Tensor | None) -> Tensor:
    if weight is not None:
        return tensor.to(weight.device, weight.dtype)
    return tensor if tensor.dtype == torch.float64 else tensor.float()


_FILE_ONLY = {"lora": _lora, "loha": _loha, "lokr": _lokr}
_BASED = {"glora": _glora, "oft": _oft, "boft": _boft, "ia3": _ia3, "set": _set}
