"""Counts memory tensor by tensor, the same on every machine: what autograd keeps, and the peak of everything alive.

Storages are counted, so views cost nothing and a tensor that is kept twice counts once. Temporary memory inside a
kernel is not seen; on a CPU it is small.
"""

import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten

MIB = 2**20
GIB = 2**30


def storage_bytes(tensors: Iterable[Tensor]) -> int:
    """Bytes of the distinct storages of tensors."""
    return sum({t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}.values())


def module_tensors(*modules: nn.Module) -> list[Tensor]:
    """Parameters and buffers."""
    return [tensor for module in modules for tensor in (*module.parameters(), *module.buffers())]


@dataclass
class SavedActivations:
    """What the graph of a forward pass keeps for the backward pass."""

    known: set[int]
    """Storages that are not activations: weights, adapters."""
    sizes: dict[int, int] = field(default_factory=dict)
    copies_of_weights: int = 0
    """Bytes of kept tensors that have exactly the shape of a weight of the model."""

    @property
    def total(self) -> int:
        """Bytes of distinct storages."""
        return sum(self.sizes.values())


@contextmanager
def saved_activations(model: nn.Module, *adapters: nn.Module) -> Iterator[SavedActivations]:
    """Context that counts what autograd saves. Read the result before the backward pass frees the tensors."""
    known = {t.untyped_storage().data_ptr() for t in module_tensors(model, *adapters)}
    shapes = {parameter.shape for parameter in model.parameters() if parameter.dim() > 1}
    saved = SavedActivations(known)
    kept: list[Tensor] = []

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in known and storage.data_ptr() not in saved.sizes:
            saved.sizes[storage.data_ptr()] = storage.nbytes()
            saved.copies_of_weights += storage.nbytes() * bool({tensor.shape, tensor.shape[::-1]} & shapes)
            # An address must not be used again while it is counted.
            kept.append(tensor.detach())
        return tensor

    try:
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            yield saved
    finally:
        kept.clear()


class LiveMeter(TorchDispatchMode):
    """Counts the bytes of every storage from its first use to its release, including backward passes."""

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        """`known` tensors (the loaded model) are not counted."""
        super().__init__()
        self.live = 0
        self.peak = 0
        self._known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._model = [tensor.untyped_storage() for tensor in known]
        for storage in self._model:
            self._known[storage] = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation and note the storages of its results."""
        out = func(*args, **(kwargs or {}))
        for tensor in tree_flatten(out)[0]:
            if isinstance(tensor, Tensor) and tensor.device.type != "meta":
                self._note(tensor.untyped_storage())
        return out

    def restart(self) -> None:
        """Start a new peak from what is alive now."""
        self.peak = self.live

    def _note(self, storage: torch.UntypedStorage) -> None:
        size = storage.nbytes()
        if not size or storage in self._known:
            return
        self._known[storage] = size
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._release, size).atexit = False

    def _release(self, size: int) -> None:
        self.live -= size
