"""LoRAs baked into weights: W' = W + strength * change, for every algorithm."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..files.atomic import write_atomic
from ..files.formats import Tensors, split_modules
from ..files.layout import file_order, header_bytes, tensor_bytes
from ..files.types import cast
from .checkpoints import Checkpoint, Place, open_checkpoint
from .deltas import Parts, bias_change, delta_weight
from .strengths import ResolvedStrengths, Strengths


def bake_weight(weight: Tensor, parts: Parts, strength: float) -> Tensor:
    """The changed weight, computed in float32 (float64 stays) and given in the weight's own type."""
    precise = weight if weight.dtype == torch.float64 else weight.float()
    if not changes_weight(parts):
        return weight
    return cast("the baked weight", precise + strength * delta_weight(parts, precise), weight.dtype)


def bake_bias(bias: Tensor, parts: Parts, strength: float) -> Tensor:
    """The changed bias, in its own type; the same where the module leaves biases alone."""
    change = bias_change(parts)
    return bias if change is None else (bias.float() + strength * change.to(bias.device)).to(bias.dtype)


def changes_weight(parts: Parts) -> bool:
    """Whether there is more than a change of the bias."""
    return bool(set(parts) - {"diff_b", "b_norm", "alpha"})


def bake_checkpoint(source: Path, target: Path, tensors: Tensors, strengths: Strengths) -> list[str]:
    """Write a copy of a checkpoint file with a LoRA (kohya names) baked in, a tensor at a time.

    Returns the LoRA's modules that the checkpoint does not have.

    Raises:
        ValueError: The checkpoint is none of SD1.5 or SDXL, or the LoRA is for another one.
    """
    modules = split_modules(tensors)
    with open_checkpoint(source) as checkpoint:
        resolved = strengths.resolve(checkpoint.family)
        missing = [name for name in modules if name not in checkpoint.weights]
        if len(missing) == len(modules):
            raise ValueError(f"lora: none of its modules is in {source.name}; is it for another model family?")
        baking = _Baking(checkpoint, modules, resolved)

        def write(temporary: Path) -> None:
            with temporary.open("wb") as file:
                for piece in baking.pieces():
                    file.write(piece)

        write_atomic(target, write)
    return missing


class _Baking:
    """One checkpoint on its way through, tensor by tensor."""

    def __init__(self, checkpoint: Checkpoint, modules: Mapping[str, Parts], strengths: ResolvedStrengths) -> None:
        self._reader, self._keys = checkpoint.reader, checkpoint.keys
        self._changes: dict[str, list[tuple[str, Place, bool]]] = {}
        self._modules, self._strengths = modules, strengths
        for name in modules:
            for places, is_bias in ((checkpoint.weights, False), (checkpoint.biases, True)):
                if name in places:
                    self._changes.setdefault(places[name].key, []).append((name, places[name], is_bias))

    def pieces(self) -> Iterator[bytes | memoryview]:
        """Header, then every tensor's bytes."""
        # These are views of the file's memory map: nothing is read yet.
        originals = {key: self._reader.get_tensor(key) for key in self._keys}
        metadata = self._reader.metadata() or {}
        yield header_bytes(originals, {key: text for key, text in metadata.items() if key != "modelspec.hash_sha256"})
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
            view.copy_(bake(view.clone(), self._modules[name], self._strengths.of(name)))
        return changed
