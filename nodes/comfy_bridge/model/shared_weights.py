"""Autograd over the weights the host has loaded, without copying them.

ComfyUI loads weights under `inference_mode`; autograd refuses such tensors. A normal tensor can share their storage,
so parameters and buffers are rebound to such views while training, and to inference tensors over the same memory
afterwards. The tensors that were replaced are not kept: a weight that the host moves meanwhile must free its old place.
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
    """Whether backward may keep the tensor. One that was moved from an inference tensor looks normal, but is not."""
    if tensor.is_inference():
        return False
    try:
        return tensor._version >= 0
    except RuntimeError:
        return False


class SharedWeights:
    """Weights of some modules, seen by autograd while a run goes on."""

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        self._modules = tuple(modules)
        self._rebound: dict[tuple[int, str], dict[str, Any]] = {}

    def refresh(self) -> None:
        """Rebinds whatever autograd cannot keep; again after every call into the host that may have moved weights."""
        for owner, name, tensor in self._tensors():
            if not is_for_autograd(tensor):
                owner[name] = _rebound(tensor)
                self._rebound[id(owner), name] = owner

    def restore(self) -> None:
        """Gives the host inference tensors again, over the memory where the weights lie now."""
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
                        # A wrapper has its storage inside; the host computes with it by functions of its own.
                        if tensor is not None and not (is_quantized(tensor) or is_traceable_wrapper_subclass(tensor)):
                            yield owner, name, tensor


def _rebound(tensor: Tensor) -> Tensor:
    with torch._C.DisableTorchFunctionSubclass():  # another pack's kind of tensor may tell another size
        view = shared_view(tensor)
        if type(tensor) is nn.Parameter:
            view = nn.Parameter(view, requires_grad=False)
        elif type(tensor) is not Tensor:
            view = view.as_subclass(type(tensor))
    # The host notes on a parameter what it needs to load it again.
    for name, note in vars(tensor).items():
        setattr(view, name, note)
    return view


@contextmanager
def weights_for_autograd(modules: Iterable[nn.Module]) -> Generator[SharedWeights, None, None]:
    """Inside, autograd can keep every weight of the modules; after it the host's are as they were."""
    shared = SharedWeights(modules)
    try:
        shared.refresh()
        yield shared
    finally:
        shared.restore()
