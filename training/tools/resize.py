"""Changes the rank of a LoRA: the best approximation of every module's change, smaller or larger."""

import torch
from torch import Tensor

from ..files.formats import Tensors, join_modules, split_modules
from ..files.types import cast
from ..networks import bias
from ..networks.algorithms import form_of
from ..rng import generator
from .deltas import Parts, check_module, delta_weight
from .factors import Factors, approximate, factors_of, low_rank_parts, shape_of
from .ranks import RankChoice
from .report import LayerReport, Report, rounding_notes, size_of

_KEPT = ("dora_scale", *bias.NAMES, "w_norm")


def resize(tensors: Tensors, choice: RankChoice, dtype: torch.dtype | None = None) -> tuple[Tensors, Report]:
    """A low-rank LoRA with the ranks that `choice` selects, optimal in the Frobenius norm, and its error.

    Every additive algorithm becomes plain low-rank (LoHa, LoKr, full); DoRA magnitudes, biases and norms stay as they
    are. With a rank above that of a module the change stays exactly the same: the new rows of `lora_down` are random
    and the new columns of `lora_up` zero, so that training can continue in them. `dtype` is that of the result's
    floating-point tensors, None for that of each module's input. Takes kohya names (`to_kohya`).

    Raises:
        ValueError: A module's change depends on the base model (GLoRA, OFT, BOFT, IA3), or contains NaN or infinity.
    """
    modules: dict[str, dict[str, Tensor]] = {}
    layers: list[LayerReport] = []
    for index, (name, parts) in enumerate(split_modules(tensors).items()):
        check_module(name, parts)
        if not is_resizable(parts):
            modules[name] = dict(parts)
            continue
        new_parts, layer = _resize_module(name, parts, choice, index)
        layers.append(layer)
        kept = {suffix: parts[suffix] for suffix in _KEPT if suffix in parts}
        modules[name] = cast_parts(new_parts, dtype or widest_dtype(parts)) | kept
    result = join_modules(modules)
    return result, Report(tuple(layers), size_of(tensors), size_of(result), rounding_notes(result))


def is_resizable(parts: Parts) -> bool:
    """Whether a module changes a weight of two or more dimensions (norms and biases do not)."""
    form = form_of(parts)
    is_vector = form is not None and form.is_vector
    return not is_vector and ("diff" not in parts or parts["diff"].ndim >= 2)


def widest_dtype(parts: Parts) -> torch.dtype:
    """The widest floating-point dtype of a module's tensors except alpha, which files may store in any."""
    types = [tensor.dtype for suffix, tensor in parts.items() if tensor.is_floating_point() and suffix != "alpha"]
    return max(types, key=lambda dtype: torch.finfo(dtype).bits)


def cast_parts(parts: Parts, dtype: torch.dtype) -> dict[str, Tensor]:
    """Floating-point tensors of a module in another dtype, converted by `cast`."""
    return {suffix: cast(suffix, tensor, dtype) for suffix, tensor in parts.items()}


def _resize_module(name: str, parts: Parts, choice: RankChoice, index: int) -> tuple[dict[str, Tensor], LayerReport]:
    bare = {suffix: tensor for suffix, tensor in parts.items() if suffix != "dora_scale"}
    change = factors_of(name, bare)
    if change is None:
        delta = delta_weight(bare)
        shape = shape_of(name, delta.shape[0], delta)
        found, error, norm = approximate(delta.flatten(1), choice, shape)
        rank_before = 0
    else:
        shape, rank_before = change.shape, change.rank
        found, error, norm = approximate(change, choice, shape)
    if choice.method == "fixed":
        found = _widened(found, min(choice.limit(is_conv=len(shape) > 2 and shape[-1] > 1), *_sides(found)), index)
    return low_rank_parts(found), LayerReport(name, rank_before, found.rank, norm, error)


def _sides(factors: Factors) -> tuple[int, int]:
    return factors.up_OR.shape[0], factors.down_RI.shape[1]


def _living(factors: Factors) -> Factors:
    """Drop the last ranks whose singular value is only rounding compared with the largest."""
    values = factors.up_OR.square().sum(0)
    least = torch.finfo(values.dtype).eps * max(_sides(factors)) * float(values.max())
    num = int((values > least).sum())
    return Factors(factors.up_OR[:, :num], factors.down_RI[:num], factors.shape)


def _widened(factors: Factors, rank: int, index: int) -> Factors:
    """The same change with more ranks to train, initialized like a new LoRA's: random rows down, zero columns up.

    Ranks that change nothing are initialized again too: with both sides zero they would never get a gradient.
    """
    factors = _living(factors)
    extra = rank - factors.rank
    if extra <= 0:
        return factors
    inputs = factors.down_RI.shape[1]
    rows = torch.randn(extra, inputs, generator=generator(0, "resize", index)).to(factors.down_RI) / inputs**0.5
    zeros = factors.up_OR.new_zeros(factors.up_OR.shape[0], extra)
    return Factors(torch.cat([factors.up_OR, zeros], 1), torch.cat([factors.down_RI, rows]), factors.shape)
