"""Memory of a frozen U-Net by the quantization of its checkpoint: `start.py quantized WEIGHTS` prints JSON.

Training keeps a quantized base model as it is loaded (`tests/host/nodes/test_quantized_base.py` checks it), so its size
is that of its tensors. One matrix of each shape is quantized by the host; convolutions, norms and biases are half
precision, as in such files.
"""

import json
from collections import Counter
from math import prod

import torch

from ...tests.support.quantized_models import QUANTIZATIONS, Quantization, quantized_tensor
from ..layouts import LAYOUTS, Layout, weight_shapes

HALF = 2
"""Bytes of a number in float16 and bfloat16."""
COUNTED = ("fp8", "mxfp8", "int8 rows", "nvfp4", "w4a4")


def matrix_bytes(shape: tuple[int, ...], kind: Quantization) -> int:
    """Bytes of a quantized matrix with its scales."""
    parts = quantized_tensor(torch.ones(shape), kind).state_dict("weight")
    return sum(part.numel() * part.element_size() for part in parts.values())


def unet_bytes(layout: Layout, kind: Quantization | None) -> int:
    """Bytes of a U-Net with every matrix quantized; None = all half precision."""
    shapes = Counter(shape for name, shape in weight_shapes(layout).items())
    return sum(
        count * (matrix_bytes(shape, kind) if kind and len(shape) == 2 else HALF * prod(shape))
        for shape, count in shapes.items()
    )


def main(_arguments: list[str]) -> None:
    """Print the bytes of both families by kind."""
    kinds = {"bf16": None, **{name: QUANTIZATIONS[name] for name in COUNTED}}
    print(json.dumps({
        family: {name: unet_bytes(LAYOUTS[family], kind) for name, kind in kinds.items()}
        for family in ("sd15", "sdxl")
    }))  # fmt: skip
