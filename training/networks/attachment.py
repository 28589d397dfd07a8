"""Which adapter belongs to which module: made from settings, or read from a file."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ..base_model import ModelFamily, PartName
from ..rng import generator
from .adapter import Adapter
from .build import adapter_from_tensors, create_adapter, trained_as
from .layer import Layer, ReadTensor, own_tensor
from .names import alias_keys
from .settings import NetworkSettings
from .targets import Target, find_modules, module_paths, select_targets


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
