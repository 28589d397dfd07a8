"""Digests of the weights that a MODEL, CLIP or VAE stands for, quick enough for every queue.

Reading all of a 7 GB checkpoint would cost seconds. From each tensor a fixed set of values spread over it is read
instead, with name, shape and type; fine-tuning and merging change nearly every value, so another model shows at once.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

VALUES_PER_TENSOR = 64
NOT_IN_FILES = frozenset({"clip_l.transformer.text_projection.weight", "clip_l.logit_scale", "clip_g.logit_scale"})
"""Weights that no picture depends on and SD1.5 and SDXL checkpoints leave out: the host makes them of memory as it
finds it, other values at each load."""


def _sample(tensor: Tensor) -> bytes:
    flat = tensor.detach().reshape(-1) if tensor.is_contiguous() else tensor.detach().contiguous().reshape(-1)
    if flat.numel() > VALUES_PER_TENSOR:
        flat = flat[:: flat.numel() // VALUES_PER_TENSOR]
    return flat.contiguous().view(torch.uint8).cpu().numpy().tobytes()


def _add(digest: Any, name: str, tensor: Tensor) -> None:
    digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
    if tensor.numel() and not tensor.is_meta:
        digest.update(_sample(tensor))


def _add_patch(digest: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        _add(digest, "patch", value)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _add_patch(digest, item)
    elif hasattr(value, "weights"):
        digest.update(type(value).__name__.encode())
        _add_patch(digest, value.weights)
    elif isinstance(value, (str, int, float, bool, type(None))):
        digest.update(repr(value).encode())


def patcher_key(patcher: Any) -> str:
    """Digest of a ModelPatcher: its unpatched weights, the patches laid over them, and its sampling."""
    digest = hashlib.blake2b(digest_size=16)
    backup = patcher.backup
    with torch.inference_mode():
        for name, parameter in sorted(patcher.model.state_dict().items()):
            if name in NOT_IN_FILES:
                continue
            _add(digest, name, backup[name].weight if name in backup else parameter)
        for name, patches in sorted(patcher.patches.items()):
            digest.update(name.encode())
            _add_patch(digest, patches)
        sampling = patcher.object_patches.get("model_sampling")
        if sampling is not None:
            digest.update(type(sampling).__mro__.__repr__().encode())
            _add(digest, "sigmas", sampling.sigmas)
    return digest.hexdigest()


def vae_key(vae: Any) -> str:
    """Digest of a VAE's weights."""
    return patcher_key(vae.patcher)


def clip_key(clip: Any) -> str:
    """Digest of a CLIP: weights, patches and clip skip."""
    return f"{patcher_key(clip.patcher)}:{clip.layer_idx}"


def tensors_key(tensors: Mapping[str, Tensor]) -> str:
    """Digest of a LoRA's tensors, every value included: they are small."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
