"""Lets autograd use the weights the host has loaded, without copying them.

ComfyUI loads weights under `inference_mode`, and autograd refuses such tensors. A normal tensor can share their
storage, so parameters and buffers are rebound to such views during training, and to inference tensors over the same
memory afterwards. The replaced tensors are not kept, so that a weight that the host moves meanwhile frees its old
memory.
"""

from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from .plain_weights import is_quantized


def shared_view(tensor: Tensor) -> Tensor:
    """A tensor over the same storage: an inference tensor inside `inference_mode`, a normal one outside."""
    view = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return view.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())


def is_for_autograd(tensor: Tensor) -> bool:
    """Whether autograd may keep the tensor. One moved from an inference tensor looks normal, but is not."""
    if tensor.is_inference():
        return False
    try:
        return tensor._version >= 0
    except RuntimeError:
        return False


class SharedWeights:
    """Weights of some modules, usable by autograd while a run trains."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._modules = tuple(modules)
        self._rebound: dict[tuple[int, str], dict[str, Any]] = {}

    def refresh(self) -> None:
        """Rebind what autograd cannot keep; needed after every call into the host that may move weights."""
        for owner, name, tensor in self._tensors():
            if not is_for_autograd(tensor):
                owner[name] = _rebound(tensor)
                self._rebound[id(owner), name] = owner

    def restore(self) -> None:
        """Give the host inference tensors again, over the weights' current memory."""
        with torch.inference_mode():
            for (_, name), owner in self._rebound.items():
                if owner.get(name) is not None:
                    owner[name] = _rebound(owner[name])
        self._rebound.clear()

    def _tensors(self) -> Iterator[tuple[dict[str, Any], str, Tensor]]:
        for root in self._modules:
            for module in root.modules():
                for owner in (module._parameters, module._buffers):
                    for name, tensor in list(owner.items()):
                        # A wrapper contains its storage; the host computes with it by its own functions.
                        if tensor is not None and not (is_quantized(tensor) or is_traceable_wrapper_subclass(tensor)):
                            yield owner, name, tensor


def _rebound(tensor: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():  # another pack's tensor class may report another size
        view = shared_view(tensor)
        if type(tensor) is nn.Parameter:
            view = nn.Parameter(view, requires_grad=False)
        elif type(tensor) is not Tensor:
            view = view.as_subclass(type(tensor))
    # The host stores on a parameter what it needs to load it again.
    for name, note in vars(tensor).items():
        setattr(view, name, note)
    return view


@contextmanager
def weights_for_autograd(modules: Iterable[nn.Module]) -> Generator[SharedWeights, None, None]:
    """Context in which autograd can use every weight of the modules; afterwards the host's are as before."""
    shared = SharedWeights(modules)
    try:
        shared.refresh()
        yield shared
    finally:
        shared.restore()
