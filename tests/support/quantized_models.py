"""Checkpoints whose linear layers are quantized, in every layout of the host, and their twins in plain float32.

Needs ComfyUI on `sys.path`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from torch import Tensor

from .inprocess import HostModules, LoadedModels

UNET = "model.diffusion_model."
FP8_LARGEST = 448.0


@dataclass(frozen=True)
class Quantization:
    """One way in which a checkpoint holds a matrix."""

    format: str
    """As the file names it, in `comfy_quant`."""
    layout: str
    """The host's class."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of its `quantize`."""
    noted: Mapping[str, Any] = field(default_factory=dict)
    """Beside the format in `comfy_quant`."""
    has_rows: bool = False
    """Whether every row gets a scale of its own, where the layout takes one but makes none."""


ROTATED = {"convrot": True, "convrot_groupsize": 64}
QUANTIZATIONS = {
    "fp8": Quantization("float8_e4m3fn", "TensorCoreFP8E4M3Layout", {"scale": "recalculate"}),
    "fp8 e5m2": Quantization("float8_e5m2", "TensorCoreFP8E5M2Layout", {"scale": "recalculate"}),
    "fp8 rows": Quantization("float8_e4m3fn", "TensorCoreFP8E4M3Layout", has_rows=True),
    "mxfp8": Quantization("mxfp8", "TensorCoreMXFP8Layout"),
    "nvfp4": Quantization("nvfp4", "TensorCoreNVFP4Layout"),
    "int8": Quantization("int8_tensorwise", "TensorWiseINT8Layout"),
    "int8 rows": Quantization("int8_tensorwise", "TensorWiseINT8Layout", {"per_channel": True}),
    "int8 rotated": Quantization(
        "int8_tensorwise", "TensorWiseINT8Layout", {"per_channel": True, **ROTATED}, noted=ROTATED
    ),
    "w4a4": Quantization(
        "convrot_w4a4", "TensorCoreConvRotW4A4Layout", {"convrot_groupsize": 64}, noted={"convrot_groupsize": 64}
    ),
}


def quantized_tensor(weight_OI: Tensor, kind: Quantization) -> Any:
    """A matrix as the host's QuantizedTensor."""
    from comfy.quant_ops import QUANT_ALGOS, QuantizedTensor, get_layout_class

    try:
        layout: Any = get_layout_class(kind.layout) if kind.format in QUANT_ALGOS else None
    except KeyError:
        layout = None
    if layout is None:
        pytest.skip(f"this ComfyUI, or its kernels, do not know {kind.format}")
    options = dict(kind.options)
    if kind.has_rows:
        options["scale"] = weight_OI.abs().amax(1, keepdim=True) / FP8_LARGEST
    numbers, params = layout.quantize(weight_OI, **options)
    return QuantizedTensor(numbers, kind.layout, params)  # pyright: ignore[reportCallIssue]


def is_quantized(name: str, tensor: Tensor, kind: Quantization, prefix: str) -> bool:
    """Whether a checkpoint's tensor becomes a packed one. The host tells a family by the width of `attn2.to_k`."""
    is_matrix = name.startswith(prefix) and name.endswith(".weight") and tensor.dim() == 2
    is_read = kind.format in ("nvfp4", "convrot_w4a4") and (".attn2.to_k." in name or ".label_emb." in name)
    return is_matrix and not is_read and "embedding" not in name


def quantized_weights(weights: Mapping[str, Tensor], kind: Quantization, prefix: str = UNET) -> dict[str, Tensor]:
    """A checkpoint's tensors with every matrix below the prefix quantized."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if not is_quantized(name, tensor, kind, prefix):
            found[name] = tensor
            continue
        found |= {
            key: part.contiguous() for key, part in quantized_tensor(tensor.float(), kind).state_dict(name).items()
        }
        note = json.dumps({"format": kind.format, **kind.noted}).encode()
        found[name.removesuffix("weight") + "comfy_quant"] = torch.tensor(list(note), dtype=torch.uint8)
    return found


def plain_weights(weights: Mapping[str, Tensor], kind: Quantization, prefix: str = UNET) -> dict[str, Tensor]:
    """The same numbers, float32, as a checkpoint that is not quantized."""
    return {
        name: quantized_tensor(tensor.float(), kind).dequantize()
        if is_quantized(name, tensor, kind, prefix)
        else tensor.float()
        for name, tensor in weights.items()
    }


def read_weights(path: Path, *prefixes: str) -> dict[str, Tensor]:
    """The tensors of a checkpoint below some prefixes; all without."""
    weights = safetensors.torch.load_file(path)
    return {name: tensor for name, tensor in weights.items() if name.startswith(prefixes or "")}


def load_weights(host: HostModules, weights: Mapping[str, Tensor]) -> LoadedModels:
    """MODEL, CLIP and VAE of a checkpoint's tensors, weights under inference mode; None for what they do not hold."""
    from .host_nodes import THREE_LAYERS

    has_clip = any("transformer.text_model" in name for name in weights)
    has_vae = any(name.startswith("first_stage_model.") for name in weights)
    with torch.inference_mode():
        loaded = host.module("comfy.sd").load_state_dict_guess_config(
            {name: tensor.clone() for name, tensor in weights.items()},
            output_clip=has_clip, output_vae=has_vae, te_model_options=THREE_LAYERS,
        )  # fmt: skip
    return LoadedModels(*loaded[:3])


def load_text_encoder(host: HostModules, weights: Mapping[str, Tensor]) -> Any:
    """CLIP of the tensors of one CLIP-L, as the host's own files name them."""
    options: dict[str, Any] = {}
    if any(name.endswith(".comfy_quant") for name in weights):
        options["quantization_metadata"] = {"mixed_ops": True}
    with torch.inference_mode():
        return host.module("comfy.sd").load_text_encoder_state_dicts(
            [{name: tensor.clone() for name, tensor in weights.items()}], model_options=options
        )
