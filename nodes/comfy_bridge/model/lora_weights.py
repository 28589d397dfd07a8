"""Weights of a MODEL and a CLIP by kohya's module names, with the patches on them, one at a time."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from comfy.model_patcher import get_key_weight
from torch import Tensor

from ....training.base_model import ModelFamily, PartName
from ....training.networks.names import file_keys
from ....training.tools.extract import ExtractSettings, WeightPair
from .foreign_layers import WAY_OUT, is_foreign, name_of
from .frozen_tensors import patched_weight
from .lora import family_of
from .plain_weights import dequantized

_PARTS: tuple[tuple[PartName, str], ...] = (
    ("unet", "diffusion_model."),
    ("text_encoder", "clip_l."),
    ("text_encoder_2", "clip_g."),
)


class HostWeights:
    """Patched weights of a MODEL and a CLIP; either may be None."""

    def __init__(self, model: Any, clip: Any) -> None:
        """Reads only the names."""
        self.family: ModelFamily = family_of(model, clip)
        self._patches: dict[str, Any] = {}
        for patcher in (model, None if clip is None else clip.patcher):
            if patcher is not None:
                self._patches |= _key_patches(patcher)
        self._keys: dict[str, str] = {}
        for part, prefix in _PARTS:
            if (part, self.family) != ("text_encoder_2", "sd15"):
                self._keys |= self._keys_of(part, prefix)

    @property
    def names(self) -> list[str]:
        """Modules with a weight, by kohya name, in the model's order."""
        return list(self._keys)

    def __call__(self, name: str) -> Tensor | None:
        """The weight with all patches, float32 on the CPU; None if there is no such module."""
        if name not in self._keys:
            return None
        key = self._keys[name]
        module, (weight, convert), *patches = self._patches[key]
        if is_foreign(module):
            raise ValueError(
                f"the weight {key} ({name_of(module)}) is packed in a way that only its own package reads; {WAY_OUT}"
            )
        return dequantized(module, patched_weight(weight, convert, patches, key), torch.float32)

    def _keys_of(self, part: PartName, prefix: str) -> dict[str, str]:
        paths = {
            key.removeprefix(prefix).removesuffix(".weight"): key
            for key in self._patches
            if key.startswith(prefix) and key.endswith(".weight")
        }
        return {name: paths[path] for path, name in file_keys(paths, part, self.family).items()}


def _key_patches(patcher: Any) -> dict[str, Any]:
    """Module, unpatched weight with what unpacks it, and the patches on it, by the weight's key.

    The host's own list fails on quantized models, whose files hold more names than the modules.
    """
    found: dict[str, Any] = {}
    for path, module in patcher.model.named_modules():
        key = f"{path}.weight"
        if not isinstance(getattr(module, "weight", None), Tensor):
            continue
        weight, _, convert = get_key_weight(patcher.model, key)
        weight = patcher.backup[key].weight if key in patcher.backup else weight
        found[key] = (module, (weight, convert), *patcher.patches.get(key, []))
    return found


def weight_pairs(original: HostWeights, tuned: HostWeights, settings: ExtractSettings) -> Iterator[WeightPair]:
    """Pairs of the modules that both have and that the settings want.

    Raises:
        ValueError: The two are of different families.
    """
    if original.family != tuned.family:
        raise ValueError(f"models: the first is {original.family}, the second {tuned.family}; both must be one family")
    for name in filter(settings.wants, original.names):
        before, after = original(name), tuned(name)
        if before is not None and after is not None and before.ndim >= 2:
            yield WeightPair(name, before, after)


def weight_source(model: Any, clip: Any) -> Callable[[str], Tensor | None] | None:
    """Base weights for changes that depend on them, or None if nothing is connected."""
    return None if model is None and clip is None else HostWeights(model, clip)
