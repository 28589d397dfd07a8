"""The trained weights as they are kept here: 8 bits, one float16 scale for each output channel.

A matrix or convolution `name` is stored as `name` (int8) and `name.scale` (float16, one for each row); what has
fewer than two dimensions stays float16. Loading gives float32.
"""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from .state import write_atomically

WEIGHTS_FOLDER = Path(__file__).resolve().parent / "weights"
UNET_FILE, VAE_FILE = "unet.safetensors", "vae.safetensors"


def quantize(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights in 8 bits; the largest value of each output channel becomes 127."""
    packed: dict[str, Tensor] = {}
    for name, weight in weights.items():
        if weight.ndim < 2:
            packed[name] = weight.half().contiguous()
            continue
        rows = weight.float().flatten(1)
        scale = (rows.abs().amax(1) / 127).clamp(min=2**-24).half()
        packed[name] = (rows / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8).view(weight.shape)
        packed[f"{name}.scale"] = scale
    return packed


def dequantize(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `quantize`, in float32."""
    weights: dict[str, Tensor] = {}
    for name, weight in packed.items():
        if name.endswith(".scale") and name.removesuffix(".scale") in packed:
            continue
        scale = packed.get(f"{name}.scale")
        shape = (-1, *[1] * (weight.ndim - 1))
        weights[name] = weight.float() if scale is None else weight.float() * scale.float().view(shape)
    return weights


def save_unet(weights: dict[str, Tensor], folder: Path | None = None) -> None:
    """Keeps a U-Net's weights, in 8 bits."""
    write_atomically((folder or WEIGHTS_FOLDER) / UNET_FILE, quantize(weights))


def load_unet(folder: Path | None = None) -> dict[str, Tensor]:
    """The kept U-Net's weights, float32."""
    return dequantize(load_file((folder or WEIGHTS_FOLDER) / UNET_FILE))


def save_vae(weights: dict[str, Tensor], folder: Path | None = None) -> None:
    """Keeps a VAE's weights in float16: they are few, and what it draws suffers first."""
    halves = {name: weight.half().contiguous() for name, weight in weights.items()}
    write_atomically((folder or WEIGHTS_FOLDER) / VAE_FILE, halves)


def load_vae(folder: Path | None = None) -> dict[str, Tensor]:
    """The kept VAE's weights, float32."""
    return {k: v.float() for k, v in load_file((folder or WEIGHTS_FOLDER) / VAE_FILE).items()}
