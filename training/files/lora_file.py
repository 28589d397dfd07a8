"""Saves and loads LoRA files: safetensors with string metadata and hashes, written atomically."""

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
"""Hashes of the file that the metadata was read from."""


@dataclass(frozen=True, slots=True)
class LoraFile:
    """Content of a LoRA file."""

    tensors: dict[str, Tensor]
    """By key, with the file's own names and dtypes, on the CPU."""
    metadata: dict[str, str]
    """As stored; empty without metadata."""
    note: str = ""
    """What else the file contains that is not read, for the user."""


class LoraTensors(dict[str, Tensor]):
    """A LoRA's tensors by key, a plain dict for the host's LoRA nodes, with the metadata of its file."""

    def __init__(
        self, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None, name: str = "", note: str = ""
    ) -> None:
        """`name` is the file's name without ending; `note` says what of the file is not read."""
        super().__init__(tensors)
        self.metadata: dict[str, str] = dict(metadata or {})
        self.name = name
        self.note = note


class TensorReader(Protocol):
    """An open safetensors file. Tensors are read on request and may share the file's memory map."""

    def keys(self) -> list[str]:
        """Names of all tensors."""
        ...

    def get_tensor(self, name: str) -> Tensor:
        """One tensor, on the CPU, in the file's dtype."""
        ...

    def metadata(self) -> dict[str, str] | None:
        """The file's metadata, None without any."""
        ...


def open_tensors(path: Path) -> AbstractContextManager[TensorReader]:
    """Context in which a file is open for reading by name.

    Raises:
        safetensors.SafetensorError: The file is not a safetensors file or is cut off.
    """
    opened: Any = safe_open(path, framework="pt")
    return cast_type(AbstractContextManager[TensorReader], opened)


def save_lora(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: torch.dtype | None = None
) -> dict[str, str]:
    """Write a LoRA and return the metadata as written: with hashes, shortened if the header would be too large.

    `dtype` is that of the file's floating-point tensors; None keeps each as it is. Equal arguments give equal bytes.

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
    """Read a LoRA file into memory, with its own names; `load_kohya` of `networks/foreign.py` converts them to kohya's.

    Raises:
        ValueError: The file does not exist or is not a safetensors file.
    """
    if not path.is_file():
        raise ValueError(f"lora file: {path.name} does not exist; choose another or refresh the list")
    try:
        with open_tensors(path) as file:
            # A copy, not the file's memory map: the file may be overwritten while these tensors are in use.
            tensors = {name: file.get_tensor(name).clone() for name in sorted(file.keys())}
            return LoraFile(tensors, file.metadata() or {})
    except SafetensorError as error:
        raise ValueError(f"lora file: {path.name} {_what_it_is(path, error)}") from None


_BEGINNINGS = (
    (
        (b"PK\x03\x04", b"\x80"),
        "is a pickle of PyTorch, which can run programs, not safetensors; get it as .safetensors",
    ),
    (b"<", "is a web page, not a LoRA: the download needs a login or another address; download it again"),
    (b"version https://git-lfs", "is only a pointer of Git LFS, not the file; download the file itself"),
)


def _what_it_is(path: Path, error: SafetensorError) -> str:
    """What lies under the name, where its beginning tells."""
    with path.open("rb") as file:
        beginning = file.read(32).lstrip()
    if not path.stat().st_size:
        return "is empty: the download or the disk failed; download it again"
    found = [text for start, text in _BEGINNINGS if beginning.startswith(start)]
    return found[0] if found else f"is not a readable safetensors file ({error}); download it again"


def load_metadata(path: Path) -> dict[str, str]:
    """Metadata of a safetensors file, without reading its tensors; empty without any."""
    with open_tensors(path) as file:
        return file.metadata() or {}
