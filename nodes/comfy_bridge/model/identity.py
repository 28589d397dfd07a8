"""Digests of the weights of a MODEL, CLIP or VAE, fast enough for every queue.

Reading all of a 7 GB checkpoint would take seconds. Instead, a fixed set of values spread over each tensor is hashed,
with name, shape and dtype; fine-tuning and merging change almost every value, so another model is always noticed.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass

from .foreign_layers import WAY_OUT, is_foreign, name_of
from .plain_weights import is_quantized

try:
    from comfy import memory_management
except ImportError:  # before 0.9
    memory_management = None

VALUES_PER_TENSOR = 64
NOT_IN_FILES = frozenset({"clip_l.transformer.text_projection.weight", "clip_l.logit_scale", "clip_g.logit_scale"})
"""Weights that pictures do not depend on and SD1.5 and SDXL checkpoints lack.

The host allocates them without initialization, so their values differ at each load.
"""


def _sample(tensor: Tensor) -> bytes:
    flat = tensor.detach().reshape(-1) if tensor.is_contiguous() else tensor.detach().contiguous().reshape(-1)
    if flat.numel() > VALUES_PER_TENSOR:
        flat = flat[:: flat.numel() // VALUES_PER_TENSOR]
    return flat.contiguous().view(torch.uint8).cpu().numpy().tobytes()


def _add(digest: Any, name: str, tensor: Tensor) -> None:
    if is_traceable_wrapper_subclass(tensor):  # a packed tensor is hashed by its parts
        names, rest = tensor.__tensor_flatten__()
        digest.update(repr(rest).encode())
        for inner in names:
            _add(digest, f"{name}.{inner}", getattr(tensor, inner))
        return
    with torch._C.DisableTorchFunctionSubclass():  # another pack's tensor class may report another size
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


def _weights(patcher: Any) -> dict[str, Tensor]:
    """The unpatched weights by name; packed ones by what files store of them.

    Raises:
        ValueError: Only another pack's code can find the values.
    """
    weights = {name: _with_values(patcher.model, name, tensor) for name, tensor in patcher.model.state_dict().items()}
    for name, module in patcher.object_patches_backup.items():  # what a loaded clone's patch replaced
        if isinstance(module, nn.Module):
            weights = {key: tensor for key, tensor in weights.items() if not key.startswith(f"{name}.")}
            weights |= {f"{name}.{key}": tensor for key, tensor in module.state_dict().items()}
    for name, kept in patcher.backup.items():
        if is_quantized(kept.weight):
            weights |= kept.weight.state_dict(name)
        elif name in weights:
            weights[name] = kept.weight
    return weights


def _with_values(model: nn.Module, name: str, tensor: Tensor) -> Tensor:
    """A tensor of the state dict, or the module's own if another pack put one without values in its place."""
    if not tensor.is_meta or name in NOT_IN_FILES:
        return tensor
    path, _, leaf = name.rpartition(".")
    module = dict(model.named_modules()).get(path)
    own = getattr(module, leaf, None)
    if module is None or not isinstance(own, Tensor):
        return tensor  # not a weight: such packs add entries to report how much memory they need
    if own.is_meta and (is_foreign(module) or not getattr(memory_management, "aimdo_enabled", False)):
        raise ValueError(
            f"the weight {name} ({name_of(module)}) is not in memory, so that this model cannot be told from others; "
            f"{WAY_OUT}"
        )
    return own


def patcher_key(patcher: Any) -> str:
    """Digest of a ModelPatcher: its unpatched weights, its patches, and its sampling."""
    digest = hashlib.blake2b(digest_size=16)
    with torch.inference_mode():
        for name, weight in sorted(_weights(patcher).items()):
            if name not in NOT_IN_FILES:
                _add(digest, name, weight)
        for name, patches in sorted(patcher.patches.items()):
            digest.update(name.encode())
            _add_patch(digest, patches)
        sampling = patcher.object_patches.get("model_sampling")
        if sampling is not None:
            digest.update(type(sampling).__mro__.__repr__().encode())
            _add(digest, "sigmas", sampling.sigmas)
            if hasattr(sampling, "multiplier"):  # for rectified flow: the times that the denoiser gets for σ
                digest.update(f"multiplier {sampling.multiplier}".encode())
    return digest.hexdigest()


def vae_key(vae: Any) -> str:
    """Digest of a VAE's weights."""
    return patcher_key(vae.patcher)


def clip_key(clip: Any) -> str:
    """Digest of a CLIP: weights, patches and clip skip."""
    return f"{patcher_key(clip.patcher)}:{clip.layer_idx}"


def tensors_key(tensors: Mapping[str, Tensor]) -> str:
    """Digest of a LoRA's tensors with every value, since they are small."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}|".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
