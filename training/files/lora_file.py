"""Saving and loading LoRA files: safetensors with string metadata, hashes, written atomically."""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol
from typing import cast as cast_type

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from .atomic import write_atomic
from .hashes import lora_hashes
from .layout import fit_header, header_bytes, tensor_area
from .types import cast

_OLD_KEYS = ("sshs_model_hash", "sshs_legacy_hash", "modelspec.hash_sha256")
"""Hashes of the file that the metadata came from."""


@dataclass(frozen=True, slots=True)
class LoraFile:
    """What a LoRA file holds."""

    tensors: dict[str, Tensor]
    """By key, in the file's own names and types, on the CPU."""
    metadata: dict[str, str]
    """As written; empty where the file has none."""
    note: str = ""
    """What the file holds besides and is not read, for the user."""


class LoraTensors(dict[str, Tensor]):
    """A LoRA's tensors by key, a plain dict to the host's LoRA nodes, that remembers what its file said."""

    def __init__(
        self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, name: str = "", note: str = ""
    ) -> None:
        """`name` is what people call it: its file's name without ending; `note` what of the file is not read."""
        super().__init__(tensors)
        self.metadata: dict[str, str] = dict(metadata or {})
        self.name = name
        self.note = note


class TensorReader(Protocol):
    """An open safetensors file. Tensors are read when asked for and may share the file's memory map."""

    def keys(self) -> list[str]:
        """Names of all tensors."""
        ...

    def get_tensor(self, name: str) -> Tensor:
        """One tensor, on the CPU, in the file's type."""
        ...

    def metadata(self) -> dict[str, str] | None:
        """The file's metadata, None where it has none."""
        ...


def open_tensors(path: Path) -> AbstractContextManager[TensorReader]:
    """Open a file for reading by name; a context manager that closes it.

    Raises:
        safetensors.SafetensorError: The file is not a safetensors file or is cut off.
    """
    opened: Any = safe_open(path, framework="pt")
    return cast_type(AbstractContextManager[TensorReader], opened)


def save_lora(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: torch.dtype | None = None
) -> dict[str, str]:
    """Write a LoRA and return the metadata as written: hashes added, shortened where the header would be too large.

    `dtype` is the type of the file's floating tensors, None keeps each as it is. Equal arguments give equal bytes.

    Raises:
        ValueError: A number is too large for `dtype`.
    """
    stored = {name: cast(name, tensor.detach().to("cpu"), dtype).contiguous() for name, tensor in tensors.items()}
    kept = fit_header(stored, {key: text for key, text in metadata.items() if key not in _OLD_KEYS})
    kept |= lora_hashes(stored, kept)

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            file.write(header_bytes(stored, kept))
            for piece in tensor_area(stored):
                file.write(piece)

    write_atomic(path, write)
    return kept


def load_lora(path: Path) -> LoraFile:
    """Read a LoRA file into memory, in the names it has; `load_kohya` of `networks/foreign.py` brings them to kohya's.

    Raises:
        ValueError: There is no such file, or it is not a safetensors file.
    """
    if not path.is_file():
        raise ValueError(f"lora file: {path.name} does not exist; choose another or refresh the list")
    try:
        with open_tensors(path) as file:
            # A copy, not the file's memory map: the file may be overwritten while these tensors live.
            tensors = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
            return LoraFile(tensors, file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"lora file: {path.name} is not a readable safetensors file ({error}); get it again") from None


def load_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file, without reading its tensors; empty where it has none."""
    with open_tensors(path) as file:
        return file.metadata() or {}
