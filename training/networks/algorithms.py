"""From settings or from a file's tensors to the adapter of one module."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from .adapter import Adapter
from .layer import Layer
from .lora import LoraAdapter
from .settings import NetworkSettings
from .targets import Target

LATENT_CHANNELS = 8
"""A layer with this many channels or fewer on one side reads or writes latents; it takes as much rank as fits."""


@dataclass(frozen=True, slots=True)
class Size:
    """Rank and alpha of one adapter; alpha / rank is the scale."""

    rank: int
    alpha: float


def size_of(target: Target, layer: Layer, settings: NetworkSettings, block_rank: int | None) -> Size:
    """Rank and alpha for a target; `block_rank` is its block's, None where none is given (alpha then scales along).

    Raises:
        ValueError: the rank is above the layer's smaller side, where it could only cost memory.
    """
    is_conv = layer.is_spatial
    rank = settings.conv_rank if is_conv and settings.conv_rank is not None else settings.rank
    alpha = settings.conv_alpha if is_conv and settings.conv_alpha is not None else settings.alpha
    scale = (alpha or rank) / rank
    rank = rank if block_rank is None else block_rank
    limit = min(layer.out_size, layer.fan_in)
    if rank > limit and settings.algorithm in ("lora", "locon", "loha", "dylora", "glora"):
        if min(layer.out_size, layer.in_size) > LATENT_CHANNELS:
            name = "conv_rank" if is_conv and settings.conv_rank is not None else "rank"
            raise ValueError(f"{name} must be at most {limit}, the smaller side of {target.path}, got {rank}")
        rank = limit - limit % settings.block_size if settings.algorithm == "dylora" else limit
    return Size(rank, scale * rank * (sqrt(rank) if settings.rank_stabilized else 1.0))


def create_adapter(layer: Layer, size: Size, settings: NetworkSettings, generator: torch.Generator) -> Adapter:
    """A fresh adapter with zero change."""
    return LoraAdapter.create(layer, size.rank, size.alpha, generator)


def adapter_from_tensors(layer: Layer, tensors: Mapping[str, Tensor]) -> Adapter | None:
    """The adapter that a file's tensors (by suffix) describe, or None if no algorithm knows them."""
    if "lora_down.weight" in tensors and "lora_up.weight" in tensors:
        return LoraAdapter.from_tensors(layer, dict(tensors))
    return None
