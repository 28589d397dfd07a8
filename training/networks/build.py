"""Creates the adapters of a network, from settings or from a file's tensors, and says which module each belongs to."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from ..base_model import ModelFamily, PartName
from ..rng import generator
from .adapter import Adapter
from .algorithm import Start
from .algorithms import find_algorithm, form_of
from .bias import BiasAdapter
from .dora import DoraAdapter
from .layer import Layer, ReadTensor, own_tensor
from .names import alias_keys
from .norm import NormAdapter
from .settings import NetworkSettings
from .targets import NORM_TYPES, Target, find_modules, module_paths, select_targets

LATENT_CHANNELS = 8
"""Layers with at most this many channels on one side read or write latents; their rank is cut to fit."""
NORM_NAMES = {"w_norm", "b_norm", "diff", "diff_b"}


@dataclass(frozen=True, slots=True, eq=False)
class Attachment:
    """One adapter and where it belongs."""

    target: Target
    adapter: Adapter
    block_weight: float
    """Factor of the learning rate; 0 = saved but not trained."""


def create_attachments(
    parts: Mapping[PartName, nn.Module],
    family: ModelFamily,
    settings: NetworkSettings,
    seed: int,
    read: ReadTensor = own_tensor,
) -> list[Attachment]:
    """Create adapters for the targets of the settings. Each one's start depends on the seed and its key alone.

    Raises:
        ValueError: the settings do not fit the base model.
    """
    blocks = settings.block_weights.resolve(family)
    attachments: list[Attachment] = []
    for target in select_targets(parts, family, settings):
        weight, rank = blocks.weight(target.block), blocks.rank(target.block, Layer.of(target.module).is_spatial)
        if weight == 0 or rank == 0:
            continue
        adapter = create_adapter(target, settings, rank, generator(seed, f"network/{target.key}"), read)
        attachments.append(Attachment(target, adapter, weight))
    if not attachments:
        raise ValueError("block weights must leave at least one block on, got 0 for every targeted block")
    return attachments


def read_attachments(
    parts: Mapping[PartName, nn.Module],
    family: ModelFamily,
    tensors: Mapping[str, Tensor],
    settings: NetworkSettings,
    read: ReadTensor = own_tensor,
) -> tuple[list[Attachment], list[str]]:
    """Create the adapters that a file's tensors describe; also return the names of tensors that belong to none."""
    blocks = settings.block_weights.resolve(family)
    targets = _targets_by_key(parts, family)
    attachments: list[Attachment] = []
    unknown: list[str] = []
    for key, by_suffix in _by_key(tensors).items():
        target = targets.get(key)
        adapter = adapter_from_tensors(target.module, by_suffix, read) if target else None
        unknown += [f"{key}.{suffix}" for suffix in by_suffix]
        if target is None or adapter is None:
            continue
        adapter = trained_as(adapter, target, settings)
        weight = blocks.weight(target.block) if target.part in settings.parts else 0.0
        adapter.requires_grad_(weight > 0)
        attachments.append(Attachment(target, adapter, weight))
    return attachments, unknown


def _targets_by_key(parts: Mapping[PartName, nn.Module], family: ModelFamily) -> dict[str, Target]:
    """Every adaptable module, under each key that a file may use for it."""
    by_path = {(target.part, target.path): target for target in find_modules(parts, family)}
    return {
        key: by_path[part, path]
        for part, root in parts.items()
        for key, path in alias_keys(module_paths(root), part, family).items()
        if (part, path) in by_path
    }


def _by_key(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """Copies of the tensors by module key (what precedes the first dot), then by suffix."""
    by_key: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        key, _, suffix = name.partition(".")
        by_key.setdefault(key, {})[suffix] = tensor.detach().clone()
    return by_key


@dataclass(frozen=True, slots=True)
class Size:
    """Rank and alpha of one adapter; alpha / rank is the scale."""

    rank: int
    alpha: float


def size_of(target: Target, layer: Layer, settings: NetworkSettings, block_rank: int | None) -> Size:
    """Rank and alpha for a target. With a rank for its block (`block_rank`), alpha scales along.

    Raises:
        ValueError: the rank is above the layer's smaller side, where it could only cost memory.
    """
    rank, alpha = settings.conv_size if layer.is_spatial else (settings.rank, settings.alpha or settings.rank)
    scale = alpha / rank
    rank = rank if block_rank is None else block_rank
    limit = min(layer.out_size, layer.fan_in)
    if find_algorithm(settings.algorithm).is_ranked and rank > limit:
        if min(layer.out_size, layer.in_size) > LATENT_CHANNELS:
            raise ValueError(f"rank must be at most {limit}, the smaller side of {target.path}, got {rank}")
        rank = limit
    return Size(rank, scale * rank * (sqrt(rank) if settings.rank_stabilized else 1.0))


def create_adapter(
    target: Target,
    settings: NetworkSettings,
    block_rank: int | None,
    generator: torch.Generator,
    read: ReadTensor = own_tensor,
) -> Adapter:
    """A fresh adapter with zero change; `block_rank` as in `size_of`."""
    layer = Layer.of(target.module, read)
    if isinstance(target.module, NORM_TYPES):
        return NormAdapter.create(layer)
    size = size_of(target, layer, settings, block_rank)
    start = Start(layer, target.path, size.rank, size.alpha, settings, generator)
    adapter = find_algorithm(settings.algorithm).create(start)
    return DoraAdapter(layer, adapter, None) if settings.weight_decompose else adapter


def adapter_from_tensors(
    module: nn.Module, tensors: dict[str, Tensor], read: ReadTensor = own_tensor
) -> Adapter | None:
    """The adapter that a file's tensors (by suffix) describe, or None. Removes from `tensors` what it reads."""
    layer = Layer.of(module, read)
    if isinstance(module, NORM_TYPES):
        found = _taken(tensors, NORM_NAMES) if {"w_norm", "diff"} & tensors.keys() else None
        return None if found is None else NormAdapter.from_tensors(layer, found)
    adapter = _read(layer, tensors)
    if adapter is not None and "dora_scale" in tensors:
        adapter = DoraAdapter.from_tensors(layer, _taken(tensors, {"dora_scale"}), adapter)
    if "diff_b" in tensors and layer.has_bias:
        adapter = BiasAdapter.from_tensors(layer, _taken(tensors, {"diff_b"}), adapter)
    return adapter


def trained_as(adapter: Adapter, target: Target, settings: NetworkSettings) -> Adapter:
    """Convert an adapter to the algorithm of the settings, where two algorithms save the same form."""
    return find_algorithm(settings.algorithm).adopt(adapter, target.path, settings)


def _read(layer: Layer, tensors: dict[str, Tensor]) -> Adapter | None:
    form = form_of(tensors)
    if form is None or form.read is None or form.lacking(tensors) or form.fault(tensors):
        return None
    return form.read(layer, _taken(tensors, set(form.tensors) - set(form.untrained)))


def _taken(tensors: dict[str, Tensor], names: set[str]) -> dict[str, Tensor]:
    """Remove these tensors from `tensors` and return them in float32."""
    return {name: tensors.pop(name).float() for name in names & tensors.keys()}
