"""Merges LoRAs into one: exactly if low rank allows it, else by the best approximation of a rank.

The sum of low-rank changes is low-rank: factors are concatenated, each LoRA's strength and scale multiplied into one
side, and alpha is the new rank. Nothing is clamped.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from re import compile as regex
from typing import Literal

import torch
from torch import Tensor

from ..base_model import ModelFamily
from ..files.formats import Tensors, join_modules, known_family, split_modules
from ..files.names import UNET_PREFIX
from ..files.types import evened
from ..networks import bias, full
from ..networks.algorithms import form_of
from .deltas import Parts, bias_change, check_module, delta_weight, needs_weight
from .factors import Change, Factors, approximate, as_matrix, factors_of, low_rank_parts, shape_of
from .ranks import AUTOMATIC, RankChoice
from .report import LayerReport, Report, rounding_notes, size_of
from .resize import cast_parts, is_resizable
from .strengths import Strengths
from .task_vectors import dare, ties

_ORIGINAL = ("input_blocks", "output_blocks", "middle_block")
_NAMING = regex(rf"^{UNET_PREFIX}({'|'.join(_ORIGINAL)}|down_blocks|up_blocks|mid_block)_", re.MULTILINE)
_ASKED = (1 - AUTOMATIC.threshold**2) ** 0.5
"""Error that the automatic rank stays below unless its maximum is reached."""
MergeMethod = Literal["sum", "add_difference", "ties", "dare"]
MERGE_METHODS: tuple[MergeMethod, ...] = ("sum", "add_difference", "ties", "dare")
WeightSource = Callable[[str], Tensor | None]
"""The base model's weight of a module by kohya name, or None if the model has no such module."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MergeSettings:
    """How to merge LoRAs."""

    method: MergeMethod = "sum"
    """sum: weighted sum. add_difference: first + (second - third). ties, dare: see `task_vectors`."""
    choice: RankChoice | None = None
    """Rank of the result; None = exact if every LoRA is low-rank, else 99.9 % of the norm."""
    density: float = 0.5
    """Share of elements that ties and dare keep, above 0 to 1."""
    seed: int = 0
    """Seed of dare's draws."""
    dtype: torch.dtype = torch.float32
    """Dtype of the result's tensors."""

    def __post_init__(self) -> None:
        """Refuse values that no merge can use."""
        if self.method not in MERGE_METHODS:
            raise ValueError(f"method must be one of {', '.join(MERGE_METHODS)}, got {self.method}")
        if not 0 < self.density <= 1:
            raise ValueError(f"density must be above 0 and at most 1, got {self.density}")


@dataclass(frozen=True, slots=True)
class _Piece:
    """One LoRA's tensors of a module, with its strength."""

    parts: Parts
    strength: float


def merge(
    loras: Sequence[tuple[Tensors, Strengths]],
    family: ModelFamily,
    settings: MergeSettings,
    weights: WeightSource | None = None,
) -> tuple[Tensors, Report]:
    """One LoRA with the effect of all together, and a report of what is not exact.

    Takes kohya names (`to_kohya`). `weights` is needed only if a change depends on the base model (DoRA, GLoRA, OFT,
    BOFT, IA3); their effect is assumed to be linear in the strength: strength times the change at strength 1.

    Raises:
        ValueError: Fewer LoRAs than the method takes, LoRAs of different families, another family's block weights, or
            no base model where one is needed.
    """
    _check_families([tensors for tensors, _ in loras])
    _check_names([tensors for tensors, _ in loras], family)
    pieces = _pieces(loras, family, settings.method)
    modules: dict[str, dict[str, Tensor]] = {}
    layers: list[LayerReport] = []
    for name, module_pieces in pieces.items():
        parts, layer = _merge_module(name, module_pieces, settings, weights)
        modules[name] = cast_parts(parts, settings.dtype)
        layers += [layer] if layer is not None else []
    if not modules:
        raise ValueError("loras: nothing is left of them at these strengths; raise one of them")
    result = join_modules(modules)
    size_before = sum(size_of(tensors) for tensors, _ in loras)
    notes = (*_limit_notes(layers, settings.choice), *rounding_notes(result))
    return result, Report(tuple(layers), size_before, size_of(result), notes)


def _limit_notes(layers: Sequence[LayerReport], choice: RankChoice | None) -> tuple[str, ...]:
    """Notes on modules for which the automatic rank was not enough."""
    num = sum(layer.rank_after == AUTOMATIC.rank and layer.relative_error > _ASKED for layer in layers)
    if choice is not None or not num:
        return ()
    return (f"{num} modules need more than rank {AUTOMATIC.rank}, the most without one; a higher rank comes nearer",)


def _check_families(loras: Sequence[Tensors]) -> None:
    families = {f"lora_{number}": known_family(tensors) for number, tensors in enumerate(loras, 1)}
    if len(set(families.values()) - {None}) > 1:
        found = ", ".join(f"{name} is {family}" for name, family in families.items() if family)
        raise ValueError(f"loras: all must be of one model family to be merged, but {found}")


def _check_names(loras: Sequence[Tensors], family: ModelFamily) -> None:
    """Refuse two names for one module: the result would have two modules, of which loaders take one."""
    names = "\n".join(key for tensors in loras for key in tensors)
    if family == "sd15" and len({found[1] in _ORIGINAL for found in _NAMING.finditer(names)}) > 1:
        raise ValueError(
            "loras: some name the U-Net's blocks as diffusers does, some as the original; their U-Net is not that of "
            "SD1.5, so it cannot be told which are the same. Extract both again from the patched model, then merge"
        )


def _pieces(
    loras: Sequence[tuple[Tensors, Strengths]], family: ModelFamily, method: MergeMethod
) -> dict[str, list[_Piece]]:
    if not loras:
        raise ValueError("loras: connect at least one LoRA to merge, got none")
    if method == "add_difference" and len(loras) != 3:
        raise ValueError(f"loras: add_difference takes three (first + second - third), got {len(loras)}")
    signs = [1.0, 1.0, -1.0] if method == "add_difference" else [1.0] * len(loras)
    pieces: dict[str, list[_Piece]] = {}
    for (tensors, strengths), sign in zip(loras, signs, strict=True):
        resolved = strengths.resolve(family)
        for name, parts in split_modules(tensors).items():
            if strength := sign * resolved.of(name):
                check_module(name, parts)
                pieces.setdefault(name, []).append(_Piece(parts, strength))
    return pieces


def _merge_module(
    name: str, pieces: list[_Piece], settings: MergeSettings, weights: WeightSource | None
) -> tuple[dict[str, Tensor], LayerReport | None]:
    vectors = _vectors(pieces)
    changing = [piece for piece in pieces if is_resizable(piece.parts)]
    if not changing:
        return vectors, None
    if settings.method in ("ties", "dare"):
        shape, changes = _changes(name, changing, weights)
        if settings.method == "ties":
            merged = ties(changes, settings.density)
        else:
            merged = dare(changes, settings.density, settings.seed, name)
        found, error, norm = approximate(merged, settings.choice or AUTOMATIC, shape)
        return low_rank_parts(found) | vectors, LayerReport(name, 0, found.rank, norm, error)
    parts, layer = _weighted_sum(name, changing, settings.choice, weights)
    return parts | vectors, layer


def _weighted_sum(
    name: str, pieces: list[_Piece], choice: RankChoice | None, weights: WeightSource | None
) -> tuple[dict[str, Tensor], LayerReport]:
    factored = [None if needs_weight(piece.parts) else factors_of(name, piece.parts) for piece in pieces]
    thin = [factors for factors in factored if factors is not None]
    rank_before = max((factors.rank for factors in thin), default=0)
    if len(thin) == len(pieces):
        total = _concatenated(thin, pieces)
        side = min(total.up_OR.shape[0], total.down_RI.shape[1])
        is_plain = all(factors.is_plain for factors in thin)
        if choice is None and is_plain and total.rank <= side:
            return low_rank_parts(total), LayerReport(name, rank_before, total.rank, 0.0, 0.0)
        # more rank than the weight has: the product of all of it is still exact
        exact = RankChoice(rank=side) if is_plain else AUTOMATIC
        found, error, norm = approximate(total, choice or exact, total.shape)
        return low_rank_parts(found), LayerReport(name, rank_before, found.rank, norm, error)
    shape, changes = _changes(name, pieces, weights)
    summed = as_matrix(changes[0])
    for change in changes[1:]:
        summed = summed + as_matrix(change)
    if choice is None and all(form_of(piece.parts) is full.FORM for piece in pieces):
        return {"diff": summed.reshape(shape)}, LayerReport(name, 0, 0, 0.0, 0.0)
    found, error, norm = approximate(summed, choice or AUTOMATIC, shape)
    return low_rank_parts(found), LayerReport(name, rank_before, found.rank, norm, error)


def _concatenated(factors: list[Factors], pieces: list[_Piece]) -> Factors:
    shape = _common_shape([one.shape for one in factors])
    scaled = [evened(piece.strength * one.up_OR, one.down_RI) for one, piece in zip(factors, pieces, strict=True)]
    return Factors(torch.cat([up for up, _ in scaled], 1), torch.cat([down for _, down in scaled]), shape)


def _common_shape(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...]:
    """The weight's shape, which some files flatten: 1x1 convolutions as linear layers."""
    for shape in shapes:
        if (shape[0], prod(shape)) != (shapes[0][0], prod(shapes[0])):
            raise ValueError(f"loras: a module is {shapes[0]} in one and {shape} in another; not one model")
    return max(shapes, key=len)


def _changes(name: str, pieces: list[_Piece], weights: WeightSource | None) -> tuple[tuple[int, ...], list[Change]]:
    """Each change times its strength, as factors or as a matrix (O, I), and the shape of the weight."""
    weight = None
    if any(needs_weight(piece.parts) for piece in pieces):
        weight = weights(name) if weights is not None else None
        if weight is None:
            raise ValueError(
                f"model: {name} changes by what depends on the base model; connect the model it belongs to"
            )
        weight = weight if weight.dtype == torch.float64 else weight.float()
    found = [_change(name, piece, weight) for piece in pieces]
    return _common_shape([shape for shape, _ in found]), [change for _, change in found]


def _change(name: str, piece: _Piece, weight: Tensor | None) -> tuple[tuple[int, ...], Change]:
    """Plain low-rank changes stay factors, which are small and multiply fast."""
    factors = None if needs_weight(piece.parts) else factors_of(name, piece.parts)
    if factors is not None and factors.is_plain:
        return factors.shape, Factors(piece.strength * factors.up_OR, factors.down_RI, factors.shape)
    change = piece.strength * delta_weight(piece.parts, weight)
    return shape_of(name, change.shape[0], change), change.flatten(1)


def _vectors(pieces: list[_Piece]) -> dict[str, Tensor]:
    """Weighted sums of vectors: biases and norms."""
    sums: dict[str, Tensor] = {}
    for piece in pieces:
        changes = {next((name for name in bias.NAMES if name in piece.parts), ""): bias_change(piece.parts)}
        if not is_resizable(piece.parts):
            changes |= {suffix: piece.parts[suffix].float() for suffix in ("w_norm", "diff") if suffix in piece.parts}
        for suffix, change in changes.items():
            if change is not None:
                _common_shape([tuple(one.shape) for one in (sums.get(suffix, change), change)])
                sums[suffix] = sums.get(suffix, torch.zeros_like(change)) + piece.strength * change
    return sums
