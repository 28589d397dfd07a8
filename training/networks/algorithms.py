"""From settings or from a file's tensors to the adapter of one module."""

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor, nn

from .adapter import Adapter
from .dora import DoraAdapter
from .dylora import DyloraAdapter
from .full import BiasAdapter, FullAdapter, NormAdapter
from .glora import GloraAdapter
from .ia3 import Ia3Adapter
from .layer import Layer, ReadTensor, own_tensor
from .loha import LohaAdapter
from .lokr import LokrAdapter, LokrShape
from .lora import LoraAdapter
from .oft import BoftAdapter, DiagOftAdapter
from .settings import Algorithm, NetworkSettings
from .targets import NORM_TYPES, Target

LATENT_CHANNELS = 8
"""A layer with this many channels or fewer on one side reads or writes latents; it takes as much rank as fits."""
INPUT_SCALED = ("ff.net.2", "mlp.fc2")
"""Layers whose input (IA)^3 scales, as in the paper: the hidden activations of a feed-forward."""
RANKED = ("lora", "locon", "loha", "dylora", "glora")
"""Algorithms whose rank cannot usefully exceed the layer."""


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
    rank, alpha = settings.conv_size if layer.is_spatial else (settings.rank, settings.alpha or settings.rank)
    scale = alpha / rank
    rank = rank if block_rank is None else block_rank
    limit = min(layer.out_size, layer.fan_in)
    if settings.algorithm in RANKED and rank > limit:
        if min(layer.out_size, layer.in_size) > LATENT_CHANNELS:
            raise ValueError(f"rank must be at most {limit}, the smaller side of {target.path}, got {rank}")
        rank = limit
    elif settings.algorithm == "dylora" and rank % settings.block_size:
        raise ValueError(f"rank of {target.path} must be a multiple of block_size {settings.block_size}, got {rank}")
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
    adapter = _create(target, layer, size_of(target, layer, settings, block_rank), settings, generator)
    if settings.weight_decompose:
        adapter = DoraAdapter(layer, adapter, None)
    if settings.train_bias and layer.has_bias:
        adapter = BiasAdapter(layer, torch.zeros(layer.out_size), adapter)
    return adapter


def _create(target: Target, layer: Layer, size: Size, settings: NetworkSettings, generator: torch.Generator) -> Adapter:
    fresh = (layer, size.rank, size.alpha, generator)
    makers: dict[Algorithm, Callable[[], Adapter]] = {
        "lora": lambda: LoraAdapter.create(*fresh),
        "locon": lambda: LoraAdapter.create(*fresh),
        "loha": lambda: LohaAdapter.create(*fresh),
        "lokr": lambda: LokrAdapter.create(
            *fresh, LokrShape(settings.factor, settings.full_matrix, settings.decompose_both)
        ),
        "dylora": lambda: DyloraAdapter.create_blocks(*fresh, settings.block_size),
        "ia3": lambda: Ia3Adapter.create(layer, target.path.endswith(INPUT_SCALED)),
        "glora": lambda: GloraAdapter.create(*fresh),
        "full": lambda: FullAdapter.create(layer),
        "diag-oft": lambda: DiagOftAdapter.create(layer, size.rank, target.path),
        "boft": lambda: BoftAdapter.create(layer, size.rank, target.path),
    }
    return makers[settings.algorithm]()


def adapter_from_tensors(
    module: nn.Module, tensors: dict[str, Tensor], read: ReadTensor = own_tensor
) -> Adapter | None:
    """The adapter that a file's tensors (by suffix) describe, or None. What is read is taken out of `tensors`."""
    layer = Layer.of(module, read)
    if isinstance(module, NORM_TYPES):
        return NormAdapter.from_tensors(layer, tensors) if {"w_norm", "diff"} & tensors.keys() else None
    adapter = _read(layer, tensors)
    if adapter is not None and "dora_scale" in tensors:
        adapter = DoraAdapter.from_tensors(layer, tensors, adapter)
    if "diff_b" in tensors and layer.has_bias:
        adapter = BiasAdapter.from_tensors(layer, tensors, adapter)
    return adapter


def trained_as(adapter: Adapter, target: Target, settings: NetworkSettings) -> Adapter:
    """The same change in the form that the settings train, where a file holds two algorithms alike.

    DyLoRA's file is a LoRA's; (IA)^3's is a whole difference, which is one factor per channel times the base weight.
    """
    if settings.algorithm == "dylora" and type(adapter) is LoraAdapter and adapter.rank % settings.block_size == 0:
        return DyloraAdapter.from_lora(adapter, settings.block_size)
    if settings.algorithm == "ia3" and isinstance(adapter, FullAdapter):
        return Ia3Adapter.from_diff(adapter.layer, adapter.diff.detach(), target.path.endswith(INPUT_SCALED)) or adapter
    return adapter


def _read(layer: Layer, tensors: dict[str, Tensor]) -> Adapter | None:
    names = tensors.keys()
    blocks = tensors.get("oft_blocks")
    readers = (
        ({"lora_down.weight", "lora_up.weight"} <= names, LoraAdapter),
        ("hada_w1_a" in names, LohaAdapter),
        (bool({"lokr_w1", "lokr_w1_a"} & names), LokrAdapter),
        ("a1.weight" in names, GloraAdapter),
        ("on_input" in names, Ia3Adapter),
        (blocks is not None and blocks.dim() == 3, DiagOftAdapter),
        (blocks is not None and blocks.dim() == 4, BoftAdapter),
        ("diff" in names, FullAdapter),
    )
    reader = next((reader for matches, reader in readers if matches), None)
    return reader.from_tensors(layer, tensors) if reader else None
