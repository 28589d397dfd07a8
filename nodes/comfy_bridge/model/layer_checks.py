"""Checks before a run that each kind of layer of a base model can be trained through."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ....training.networks.targets import is_adaptable
from .foreign_layers import WAY_OUT, input_gradient, is_foreign, is_product, name_of
from .plain_weights import dequantized, is_quantized
from .shared_weights import weights_for_autograd

TOLERANCE = 0.02
"""Relative error of a foreign layer's gradient: half precision and rounded inputs stay below it."""


def checkpoint_name(model: Any) -> str | None:
    """File name of the checkpoint that a MODEL was loaded from, if the host knows it."""
    init = getattr(model, "cached_patcher_init", None)  # older hosts lack this attribute
    path = init[1][0] if init and init[1] and isinstance(init[1][0], str) else None
    return Path(path).name if path else None


def has_foreign_layers(root: nn.Module) -> bool:
    """Whether a part of the base model has layers of other packs."""
    return any(is_product(module) and is_foreign(module) for module in root.modules())


def check_layers(root: nn.Module, name: str, device: torch.device) -> None:
    """Test one layer of each kind in a part of the base model. `name` is the part's, for messages.

    Raises:
        ValueError: A kind of layer cannot be trained through; names the layer, its class and its package.
    """
    seen: set[object] = set()
    for path, module in root.named_modules():
        kind = _kind(module)
        if kind is None or kind in seen:
            continue
        seen.add(kind)
        reason = _why_not(module, device)
        if reason:
            raise ValueError(f"{name}: the layer {path} ({name_of(module)}) {reason}; {WAY_OUT}")


def _kind(module: Any) -> object | None:
    """Key of a kind of unusual layer; None for the usual layers of the host and torch."""
    weight = getattr(module, "weight", None)
    if is_quantized(weight):
        return type(module), getattr(weight, "_layout_cls", None)
    if not is_foreign(module) or not (is_product(module) or _is_leaf_with_weights(module)):
        return None
    notes = vars(weight).items() if isinstance(weight, Tensor) else ()
    said = sorted((key, repr(note)) for key, note in notes if not isinstance(note, Tensor))
    return type(module), getattr(weight, "dtype", None), tuple(said)


def _is_leaf_with_weights(module: nn.Module) -> bool:
    own: Iterable[object] = (*module._parameters.values(), *module._buffers.values())
    return not any(True for _ in module.children()) and any(tensor is not None for tensor in own)


def _why_not(module: Any, device: torch.device) -> str:
    """Why a layer cannot be trained through; empty if it can."""
    try:
        if is_product(module) and is_foreign(module):
            return _gradient_fault(module, device)
        if is_quantized(module.weight):
            dequantized(module, module.weight, torch.float32)
            return ""
    except Exception as error:  # other packs' code may raise anything
        return f"cannot be computed with: {type(error).__name__}: {error}"
    if isinstance(module, nn.Embedding) or is_adaptable(module):
        return ""
    return "is of a kind unknown here, which would be left untrained"


def _gradient_fault(module: Any, device: torch.device) -> str:
    """Compare the gradient with the effect of a changed input, which for a linear map must agree."""
    source = torch.Generator().manual_seed(0)
    sizes = (2, module.in_channels, 8, 8) if isinstance(module, nn.Conv2d) else (2, module.in_features)
    x = torch.randn(sizes, generator=source).to(device)
    with torch.inference_mode(False), weights_for_autograd([module]):
        with torch.no_grad():
            change = module.forward(x) - module.forward(torch.zeros_like(x))
        along = float((input_gradient(module.forward, torch.zeros_like(x), change) * x).sum())
    wanted = float(change.square().sum())
    if abs(along - wanted) <= TOLERANCE * wanted:
        return ""
    return f"gives a wrong gradient ({along:.3g} where its output changes by {wanted:.3g})"
