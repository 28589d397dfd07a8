"""Autograd over the weights the host has loaded, without copying them.

ComfyUI loads weights under `inference_mode`; autograd refuses such tensors. A normal tensor can share their storage,
so parameters and buffers are rebound to such views while training and the old objects are put back afterwards.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


def shared_view(tensor: Tensor) -> Tensor:
    """A normal tensor over the same storage, bit for bit. Must be called outside `inference_mode`."""
    view = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return view.set_(tensor.untyped_storage(), tensor.storage_offset(), tensor.size(), tensor.stride())


@contextmanager
def weights_for_autograd(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, every inference tensor of the modules is a normal one over the same memory; the old ones return after.

    A weight that the host moved meanwhile (offloading) keeps its new place.
    """
    replaced: list[tuple[dict[str, Tensor | None], str, Tensor, Tensor]] = []
    try:
        for root in modules:
            for module in root.modules():
                _rebind(module._parameters, replaced, is_parameter=True)
                _rebind(module._buffers, replaced, is_parameter=False)
        yield
    finally:
        for owner, name, old, new in replaced:
            current = owner.get(name)
            if current is new and new.data_ptr() == old.data_ptr():
                owner[name] = old


def _rebind(owner: dict, replaced: list, is_parameter: bool) -> None:
    for name, old in owner.items():
        if old is None or not old.is_inference():
            continue
        new = shared_view(old)
        if is_parameter:
            new = nn.Parameter(new, requires_grad=False)
        owner[name] = new
        replaced.append((owner, name, old, new))
