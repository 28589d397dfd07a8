"""Weights as a MODEL or CLIP of the graph computes with them, whichever patches are on the shared modules now.

Clones of a model share its modules. A clone's patches are applied to them only while it is the loaded one; if memory is
short or weights are streamed, the host keeps patches apart and applies them to each weight while its layer runs.
"""

from collections.abc import Iterable
from typing import Any

import comfy.float
import comfy.lora
import comfy.model_management
import comfy.model_patcher
import comfy.utils
import torch
from comfy.model_patcher import get_key_weight
from comfy.ops import cast_bias_weight, uncast_bias_weight
from torch import Tensor, nn

from .foreign_layers import is_foreign, is_product, read_bias, read_weight
from .plain_weights import dequantized, is_quantized

# The second in ComfyUI before 0.10.
_seed_of = getattr(comfy.utils, "string_to_seed", None) or comfy.model_patcher.string_to_seed


class FrozenTensors:
    """Reads `weight` and `bias` of the modules of some patchers."""

    def __init__(self, patchers: Iterable[Any]) -> None:
        self._places = {
            id(module): (patcher, path) for patcher in patchers for path, module in patcher.model.named_modules()
        }
        self._streamed_biases: dict[int, Tensor] = {}
        """Small, and asked for in every pass: the host would stream the weight along."""

    @torch.no_grad()
    def __call__(self, module: nn.Module, name: str) -> Tensor:
        """The tensor with its patcher's patches, on any device; must not be changed."""
        patcher, path = self._places[id(module)]
        if is_product(module) and is_foreign(module):
            return _read(module, name, patcher)
        if patcher.model.current_weight_patches_uuid == patcher.patches_uuid:
            tensor = self._loaded(module, name, patcher.load_device)
        else:
            tensor = _computed(patcher, f"{path}.{name}")
        return dequantized(module, tensor, torch.float32) if name == "weight" else tensor

    def _loaded(self, module: Any, name: str, device: torch.device) -> Tensor:
        is_patched = getattr(module, f"{name}_function", None) or getattr(module, f"{name}_lowvram_function", None)
        if not _is_streamed(module, device):
            return _as_computed(module, name, device) if is_patched else getattr(module, name)
        if name == "weight":
            return _as_computed(module, name, device)
        if id(module) not in self._streamed_biases:
            self._streamed_biases[id(module)] = _as_computed(module, name, device)
        return self._streamed_biases[id(module)]


def patched_weight(weight: Tensor, convert: Any, patches: list[Any], key: str) -> Tensor:
    """A weight with patches applied, as a new float32 tensor on the CPU."""
    full = weight.to(torch.float32)
    full = convert(full, inplace=False) if convert else full
    full = (full.dequantize() if is_quantized(full) else full).to("cpu", torch.float32, copy=True)
    return comfy.lora.calculate_weight(patches, full, key) if patches else full


def _read(module: nn.Module, name: str, patcher: Any) -> Tensor:
    """For a layer that only its own forward can read, which works where the host has loaded it."""
    if patcher.model.current_weight_patches_uuid != patcher.patches_uuid:
        with torch.inference_mode():
            comfy.model_management.load_models_gpu([patcher])
    return (read_weight if name == "weight" else read_bias)(module, patcher.load_device)


def _is_streamed(module: Any, device: torch.device) -> bool:
    """Whether the host's dynamic VRAM brings the weight to the device for each pass; its own tensor is in a file."""
    return hasattr(module, "_v") and module.weight.device != device


def _as_computed(module: Any, name: str, device: torch.device) -> Tensor:
    """A float32 copy on the device, with the patches that the host applies while the layer runs."""
    weight, bias, stream = cast_bias_weight(
        module, dtype=torch.float32, device=device, bias_dtype=torch.float32, offloadable=True
    )
    with torch.inference_mode(False):  # a bias is kept, and a preview may be the first to ask for it
        kept = (weight if name == "weight" else bias).clone()
    uncast_bias_weight(module, weight, bias, stream)
    return kept


def _computed(patcher: Any, key: str) -> Tensor:
    weight, store, convert = get_key_weight(patcher.model, key)
    if key in patcher.backup:
        weight = patcher.backup[key].weight
    patches = patcher.patches.get(key)
    if not patches:
        return weight
    # Rounded as the host rounds loaded weights: the same bits before and after loading.
    patched, seed = patched_weight(weight, convert, patches, key), _seed_of(key)
    if store is not None:  # which packs it again
        return store(patched, inplace_update=False, seed=seed, return_weight=True)
    return comfy.float.stochastic_rounding(patched, weight.dtype, seed=seed)
