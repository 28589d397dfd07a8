"""The safetensors layout, written so that equal tensors and metadata give equal bytes.

The safetensors library keeps metadata in an unordered map: two files of one LoRA differ in their header there.
Tensors lie in the library's order (widest type first, then by name), hence tensor area and hashes agree with it.
Format: https://github.com/huggingface/safetensors#format
"""

import json
import struct
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

# In the library's order of types, widest first.
_TYPE_NAMES: dict[torch.dtype, str] = {
    torch.int64: "I64",
    torch.float64: "F64",
    torch.float32: "F32",
    torch.int32: "I32",
    torch.bfloat16: "BF16",
    torch.float16: "F16",
    torch.int16: "I16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_TYPE_ORDER = {dtype: place for place, dtype in enumerate(_TYPE_NAMES)}


def header_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Length prefix and JSON header of a safetensors file, padded to 8 bytes.

    Raises:
        ValueError: A tensor has a type that safetensors cannot hold.
    """
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))} if metadata else {}
    offset = 0
    for name in file_order(tensors):
        tensor = tensors[name]
        end = offset + tensor.numel() * tensor.element_size()
        header[name] = {"dtype": _TYPE_NAMES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def tensor_area(tensors: Mapping[str, Tensor]) -> Iterator[bytes | memoryview]:
    """The bytes after the header, one piece a tensor."""
    for name in file_order(tensors):
        yield tensor_bytes(tensors[name])


def tensor_bytes(tensor: Tensor) -> bytes | memoryview:
    """The bytes of one tensor; one on the CPU is not copied."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""


def file_order(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names in the order in which their bytes lie in a file.

    Raises:
        ValueError: A tensor has a type that safetensors cannot hold.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPE_NAMES:
            raise ValueError(f"{name}: safetensors cannot hold {tensor.dtype}; convert it to a floating type first")
    return sorted(tensors, key=lambda name: (_TYPE_ORDER[tensors[name].dtype], name))
