"""Bakes LoRAs into weights: W' = W + strength * change, for every algorithm."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..files.atomic import write_atomic
from ..files.formats import split_modules
from ..files.layout import file_order, header_bytes, tensor_bytes
from ..files.lora_file import LoraTensors
from ..files.types import is_finite
from ..networks.algorithms import form_of
from .checkpoints import Checkpoint, Place, open_checkpoint
from .deltas import Parts, bias_change, check_module, delta_weight
from .result_metadata import MERGED_FROM, name_with_sources
from .strengths import ResolvedStrengths, Strengths


def bake_weight(weight: Tensor, parts: Parts, strength: float) -> Tensor:
    """The changed weight, computed in float32 (float64 stays) and returned in the weight's dtype.

    Raises:
        ValueError: A value is too large for that dtype.
    """
    if not changes_weight(parts):
        return weight
    precise = _precise(weight)
    return _rounded(precise + strength * delta_weight(parts, precise), weight.dtype)


def bake_bias(bias: Tensor, parts: Parts, strength: float) -> Tensor:
    """The changed bias, computed the same way; unchanged if the module does not change biases."""
    change = bias_change(parts)
    if change is None:
        return bias
    precise = _precise(bias)
    return _rounded(precise + strength * change.to(precise), bias.dtype)


def _precise(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _rounded(changed: Tensor, dtype: torch.dtype) -> Tensor:
    result = changed.to(dtype)
    if not is_finite(result):
        kind = str(dtype).removeprefix("torch.")
        raise ValueError(f"the changed weight is too large for the checkpoint's {kind}; lower the strength")
    return result


def changes_weight(parts: Parts) -> bool:
    """Whether a module changes more than a bias."""
    form = form_of(parts)
    return form is None or form.delta is not None


def bake_checkpoint(source: Path, target: Path, lora: LoraTensors, strengths: Strengths) -> list[str]:
    """Write a copy of a checkpoint file with a LoRA (kohya names) baked in, one tensor at a time.

    The checkpoint's metadata is kept, and `modelspec.merged_from` names both. Returns the LoRA's modules that the
    checkpoint does not have.

    Raises:
        ValueError: The checkpoint is not SD1.5 or SDXL, the LoRA is broken or for another family, or a result is too
            large for the checkpoint's dtype.
    """
    modules = split_modules(lora)
    with open_checkpoint(source) as checkpoint:
        resolved = strengths.resolve(checkpoint.family)
        missing = [name for name in modules if name not in checkpoint.weights]
        if len(missing) == len(modules):
            raise ValueError(f"lora: none of its modules is in {source.name}; is it for another model family?")
        for name, parts in modules.items():
            check_module(name, parts)
        baking = _Baking(checkpoint, modules, resolved, _metadata(checkpoint, source.stem, lora))

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                for piece in baking.pieces():
                    file.write(piece)

        write_atomic(target, write)
    return missing


def _metadata(checkpoint: Checkpoint, name: str, lora: LoraTensors) -> dict[str, str]:
    before = checkpoint.reader.metadata() or {}
    names = [name_with_sources(name, before), name_with_sources(lora.name, lora.metadata)]
    kept = {key: text for key, text in before.items() if key != "modelspec.hash_sha256"}
    return kept | {MERGED_FROM: ", ".join(filter(None, names))}


class _Baking:
    """One checkpoint being rewritten, tensor by tensor."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        modules: Mapping[str, Parts],
        strengths: ResolvedStrengths,
        metadata: Mapping[str, str],
    ) -> None:
        self._reader, self._keys, self._metadata = checkpoint.reader, checkpoint.keys, metadata
        self._changes: dict[str, list[tuple[str, Place, bool]]] = {}
        self._modules, self._strengths = modules, strengths
        for name in modules:
            for places, is_bias in ((checkpoint.weights, False), (checkpoint.biases, True)):
                if name in places:
                    self._changes.setdefault(places[name].key, []).append((name, places[name], is_bias))

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Header, then every tensor's bytes."""
        # views of the file's memory map: nothing is read yet
        originals = {key: self._reader.get_tensor(key) for key in self._keys}
        yield header_bytes(originals, self._metadata)
        for key in file_order(originals):
            yield tensor_bytes(self._changed(key))

    def _changed(self, key: str) -> Tensor:
        tensor = self._reader.get_tensor(key)
        if key not in self._changes:
            return tensor
        changed = tensor.clone()
        for name, place, is_bias in self._changes[key]:
            view = place.view(changed)
            bake = bake_bias if is_bias else bake_weight
            if strength := self._strengths.of(name):
                try:
                    view.copy_(bake(view.clone(), self._modules[name], strength))
                except ValueError as error:
                    raise ValueError(f"{name}: {error}") from None
        return changed
