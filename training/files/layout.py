"""Writes the safetensors layout so that equal tensors and metadata give equal bytes.

The safetensors library keeps metadata in an unordered map, so two files of the same LoRA may differ in their header.
Tensors are in the library's order (widest dtype first, then by name), so tensor area and hashes agree with it.

Format: https://github.com/huggingface/safetensors#format

The header is kept small for programs that read only the beginning of a file: ComfyUI's canvas reads the first 4 MiB of
a dropped file to open its workflow; its model library shows metadata only if the header is at most 1 MiB. The list of
tensors counts too: half a MiB for SDXL.
"""

import json
import struct
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from .json_files import read_json

# in the library's order of dtypes, widest first
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

LIBRARY_LIMIT = 1 << 20
DROP_LIMIT = 4 << 20
NOTE_KEY = "bakery.left_out"

_RESERVE = 1024  # the two hashes and the note come later
_TAGS_KEPT = 100
_OPTIONAL = (
    "bakery.samples", "ss_bucket_info", "modelspec.thumbnail", "ss_datasets", "bakery.settings", "ss_tag_frequency",
    "prompt",
)  # fmt: skip


def header_bytes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    """Length prefix and JSON header of a safetensors file, padded to 8 bytes.

    Raises:
        ValueError: A tensor has a dtype that safetensors cannot store.
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
    """The bytes after the header, one piece per tensor."""
    for name in file_order(tensors):
        yield tensor_bytes(tensors[name])


def tensor_bytes(tensor: Tensor) -> bytes | memoryview:
    """The bytes of one tensor; a tensor on the CPU is not copied."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if flat.numel() else b""


def file_order(tensors: Mapping[str, Tensor]) -> list[str]:
    """Names in the order of their bytes in the file.

    Raises:
        ValueError: A tensor has a dtype that safetensors cannot store.
    """
    for name, tensor in tensors.items():
        if tensor.dtype not in _TYPE_NAMES:
            raise ValueError(f"{name}: safetensors cannot hold {tensor.dtype}; convert it to a floating type first")
    return sorted(tensors, key=lambda name: (_TYPE_ORDER[tensors[name].dtype], name))


def fit_header(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """The metadata, without its largest optional entries if the header would exceed a limit.

    Below 1 MiB nothing is removed. Above it the rarest tags go first, then whole optional entries, largest first; the
    workflow stays as long as the header is below 4 MiB. `bakery.left_out` names what is missing.
    """
    kept = dict(metadata)
    num_bytes = len(header_bytes(tensors, {}))
    left_out: list[str] = []
    if _size(kept, num_bytes) > LIBRARY_LIMIT and "ss_tag_frequency" in kept:
        kept["ss_tag_frequency"] = _most_frequent(metadata["ss_tag_frequency"])
    if kept.get("ss_tag_frequency") != metadata.get("ss_tag_frequency"):
        left_out.append(f"ss_tag_frequency below the {_TAGS_KEPT} most frequent")
    for key in sorted((key for key in _OPTIONAL if key in kept), key=lambda key: -len(kept[key])):
        if _size(kept, num_bytes) > LIBRARY_LIMIT:
            del kept[key]
            left_out.append(key)
    if _size(kept, num_bytes) > DROP_LIMIT and kept.pop("workflow", None) is not None:
        left_out.append("workflow")
    return kept | ({NOTE_KEY: ", ".join(left_out)} if left_out else {})


def _size(metadata: Mapping[str, str], num_bytes: int) -> int:
    return num_bytes + len(json.dumps(dict(metadata), ensure_ascii=False).encode()) + _RESERVE


def _most_frequent(tag_frequency: str) -> str:
    """The most frequent tags of each folder; the text unchanged if it is not such a list, as in other tools' files."""
    try:
        folders: dict[str, dict[str, int]] = read_json(tag_frequency)
        shorter = {
            folder: dict(sorted(tags.items(), key=lambda item: (-item[1], item[0]))[:_TAGS_KEPT])
            for folder, tags in folders.items()
        }
    except (ValueError, TypeError, AttributeError):
        return tag_frequency
    return json.dumps(shorter, ensure_ascii=False)
