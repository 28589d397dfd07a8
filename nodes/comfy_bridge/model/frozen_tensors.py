"""Weights as a MODEL or CLIP of the graph computes with them, whatever patches lie on the shared modules right now.

Every clone of a model shares its modules. Its own patches are in them only while it is the one that is loaded, and
where memory is short or streamed the host keeps them apart even then and lays them over a weight for the moment of its
layer.
"""

from collections.abc import Iterable
from typing import Any

import comfy.float
import comfy.lora
import torch
from comfy.model_patcher import get_key_weight
from comfy.ops import cast_bias_weight, uncast_bias_weight
from comfy.utils import string_to_seed
from torch import Tensor, nn


class FrozenTensors:
    """Reads `weight` and `bias` of the modules of some patchers."""

    def __init__(self, patchers: Iterable[Any]) -> None:
        self._places = {
            id(module): (patcher, path) for patcher in patchers for path, module in patcher.model.named_modules()
        }

    @torch.no_grad()
    def __call__(self, module: nn.Module, name: str) -> Tensor:
        """The tensor with the patches of its patcher, on any device; not to be changed."""
        patcher, path = self._places[id(module)]
        if patcher.model.current_weight_patches_uuid == patcher.patches_uuid:
            return _loaded(module, name, patcher.load_device)
        return _computed(patcher, f"{path}.{name}")


def patched_weight(weight: Tensor, convert: Any, patches: list[Any], key: str) -> Tensor:
    """A weight with patches on it, a new float32 tensor on the CPU."""
    full = weight.to(torch.float32)
    full = (convert(full, inplace=False) if convert else full).to("cpu", torch.float32, copy=True)
    return comfy.lora.calculate_weight(patches, full, key) if patches else full


def _loaded(module: Any, name: str, device: torch.device) -> Tensor:
    if not (getattr(module, f"{name}_function", None) or getattr(module, f"{name}_lowvram_function", None)):
        return getattr(module, name)
    weight, bias, stream = cast_bias_weight(
        module, dtype=torch.float32, device=device, bias_dtype=torch.float32, offloadable=True
    )
    kept = (weight if name == "weight" else bias).clone()
    uncast_bias_weight(module, weight, bias, stream)
    return kept


def _computed(patcher: Any, key: str) -> Tensor:
    weight, _, convert = get_key_weight(patcher.model, key)
    if key in patcher.backup:
        weight = patcher.backup[key].weight
    patches = patcher.patches.get(key)
    if not patches:
        return weight
    # Rounded as the host rounds what it loads: the same bits before the model is loaded as after it.
    return comfy.float.stochastic_rounding(
        patched_weight(weight, convert, patches, key), weight.dtype, seed=string_to_seed(key)
    )
