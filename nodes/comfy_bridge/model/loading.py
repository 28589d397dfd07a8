"""Loads the trained models on their device, and tells whether they still are."""

from collections.abc import Sequence
from typing import Any

import comfy.model_management


def give_device_to(patchers: Sequence[Any]) -> None:
    """Load these models and, on a device with its own memory, unload all others (VAE, text encoders)."""
    management = comfy.model_management
    device = patchers[0].load_device
    if not management.is_device_cpu(device):
        kept = [loaded for loaded in management.current_loaded_models if loaded.model in patchers]
        management.free_memory(1e32, device, keep_loaded=kept)
    management.load_models_gpu(list(patchers))


def are_loaded(patchers: Sequence[Any]) -> bool:
    """Whether the host has these models loaded, with their own patches. Weights may lie elsewhere and be streamed."""
    loaded = [each.model for each in comfy.model_management.current_loaded_models]
    return all(
        any(patcher is each for each in loaded) and patcher.model.current_weight_patches_uuid == patcher.patches_uuid
        for patcher in patchers
    )
