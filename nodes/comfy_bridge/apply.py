"""A LoRA on MODEL and CLIP through the host's own loader, so that the graph samples what the file gives."""

from collections.abc import Mapping
from typing import Any

import comfy.sd
from torch import Tensor


def apply_lora(
    model: Any, clip: Any | None, tensors: Mapping[str, Tensor], strength: float = 1.0, text_strength: float = 1.0
) -> tuple[Any, Any | None]:
    """(MODEL, CLIP) with the LoRA; the ones that came in stay as they are."""
    return comfy.sd.load_lora_for_models(model, clip, dict(tensors), strength, text_strength)
