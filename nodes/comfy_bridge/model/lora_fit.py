"""Whether a LoRA fits what it is applied to: the sizes of its changes, and modules that are not there.

The host logs both and goes on, so the picture is made without a part of the LoRA.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import comfy.utils
import torch
from torch import Tensor, nn

from ....training.files.names import UNET_PREFIX
from ....training.networks.algorithms import form_of

MAX_NAMES = 3


def check_size(name: str, parts: Mapping[str, Tensor], owner: Any, key: str) -> None:
    """Refuse a change of another size than the weight it is for.

    `owner` is the host's model that has the weight `key`. Changes that only their own formula can measure pass.

    Raises:
        ValueError: Naming the module and both sizes.
    """
    shape, changed = _weight_shape(owner, key), _num_changed(parts)
    if shape is None or changed is None or "reshape_weight" in parts or changed == math.prod(shape):
        return
    raise ValueError(
        f"lora: {name} changes {changed} numbers where this model has {tuple(shape)}; is it for another model?"
    )


def in_shape(parts: Mapping[str, Tensor], owner: Any, key: str) -> dict[str, Tensor]:
    """A whole change with the dimensions of its weight: the host leaves out one without those of a kernel."""
    shape, whole = _weight_shape(owner, key), parts.get("diff")
    if shape is None or whole is None or whole.numel() != math.prod(shape):
        return {}
    return {"diff": whole.reshape(shape)}


def left_out_note(missing: Sequence[str], has_model: bool, has_clip: bool) -> str:
    """A note on modules of a LoRA that are not in what is connected; empty if there are none."""
    unet = [name for name in missing if name.startswith(UNET_PREFIX)]
    text = [name for name in missing if name not in unet]
    lines = [
        _line(unet, "are not in this model" if has_model else "wait for a MODEL, which is not connected"),
        _line(text, "are not in this CLIP" if has_clip else "wait for a CLIP, which is not connected"),
    ]
    return "; ".join(filter(None, lines))


def _line(names: Sequence[str], why: str) -> str:
    if not names:
        return ""
    shown = ", ".join(names[:MAX_NAMES]) + (" ..." if len(names) > MAX_NAMES else "")
    return f"{len(names)} modules of the LoRA {why}, so they are not applied: {shown}"


def _num_changed(parts: Mapping[str, Tensor]) -> int | None:
    """Numbers that a change has, from the shapes of its tensors; None where the formula alone tells."""
    form = form_of(parts)
    if "diff" in parts:
        return parts["diff"].numel()
    if form is None or form.factors is None or form.lacking(parts) or form.fault(parts):
        return None
    shapes = {
        name: tensor if tensor.numel() == 1 else torch.empty(tensor.shape, device="meta")
        for name, tensor in parts.items()
    }
    try:
        up, down = form.factors(shapes)
    except RuntimeError:  # its own parts do not fit each other, which is said where they are computed
        return None
    return up.shape[0] * down[0].numel()


def _weight_shape(owner: Any, key: str) -> tuple[int, ...] | None:
    """Shape of a weight as its layer declares it, since packed weights have others; None for unusual layers."""
    try:
        layer = comfy.utils.get_attr(owner, key.rpartition(".")[0])
    except AttributeError:
        return None
    if hasattr(layer, "in_features") and hasattr(layer, "out_features"):
        return layer.out_features, layer.in_features
    if isinstance(layer, nn.Conv2d):
        return layer.out_channels, layer.in_channels // layer.groups, *layer.kernel_size
    weight = getattr(layer, "weight", None)
    is_plain = isinstance(layer, nn.LayerNorm | nn.GroupNorm | nn.Embedding)
    return tuple(weight.shape) if is_plain and isinstance(weight, Tensor) else None
