"""Creates the adapter of one module, from settings or from a file's tensors."""

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from .adapter import Adapter
from .algorithm import Start
from .algorithms import find_algorithm, form_of
from .bias import BiasAdapter
from .dora import DoraAdapter
from .layer import Layer, ReadTensor, own_tensor
from .norm import NormAdapter
from .settings import NetworkSettings
from .targets import NORM_TYPES, Target

LATENT_CHANNELS = 8
"""Layers with at most this many channels on one side read or write latents; their rank is cut to fit."""
NORM_NAMES = {"w_norm", "b_norm", "diff", "diff_b"}


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
