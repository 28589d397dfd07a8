"""Encoding a caption without waiting for the device.

ComfyUI makes tokens, masks and positions on the device from Python's lists, and hands its results out on the CPU. Each
makes the CPU wait until the device has done all that is queued: seven times a caption of SD1.5 and thirteen of SDXL, at
every step that trains a text encoder. The numbers stay ComfyUI's; only how they travel changes.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import comfy.model_management
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ....training.devices import send

SMALL_BYTES = 2**20
"""Tokens, masks, vectors of embeddings and positions are smaller; weights that ComfyUI brings up go their own way."""


@contextmanager
def encoding_on(device: torch.device) -> Generator[None, None, None]:
    """Context in which ComfyUI encodes captions on a device without waiting, and leaves the results there."""
    if device.type == "cpu":
        yield
        return
    hosts_own = comfy.model_management.intermediate_device
    comfy.model_management.intermediate_device = lambda: device
    try:
        with _Sending():
            yield
    finally:
        comfy.model_management.intermediate_device = hosts_own


class _Sending(TorchFunctionMode):
    """In this thread, what is small and made on the CPU goes to a device without a wait."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if func is torch.tensor and _is_card(kwargs.get("device")):
            device = torch.device(kwargs.pop("device"))
            return send(torch.tensor(*args, **kwargs), device)
        if func is Tensor.__getitem__ and _is_card(args[0].device):
            return args[0][_index_on(args[0].device, args[1])]
        if func is Tensor.copy_ and _is_card(args[0].device) and _is_small_input(args[1]):  # weights that are streamed
            args = (args[0], send(args[1], args[0].device), *args[2:])
        if func is Tensor.to and _is_small_input(args[0]):
            args = (_sent(*args, **kwargs), *args[1:])
        return func(*args, **kwargs)


def _is_card(device: Any) -> bool:
    return device is not None and torch.device(device).type != "cpu"


def _index_on(device: torch.device, index: Any) -> Any:
    """An index whose lists of positions lie on a device; backward needs them there once more."""
    if not isinstance(index, tuple):
        return index
    return tuple(send(torch.tensor(each), device) if isinstance(each, list) else each for each in index)


def _is_small_input(tensor: Tensor) -> bool:
    return tensor.device.type == "cpu" and not tensor.requires_grad and tensor.nbytes <= SMALL_BYTES


def _sent(tensor: Tensor, *where: Any, **named: Any) -> Tensor:
    device = named.get("device", next((each for each in where if isinstance(each, (str, torch.device))), None))
    return send(tensor, torch.device(device)) if _is_card(device) else tensor
