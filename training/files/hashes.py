"""Hashes by which other tools identify a LoRA and its base model.

sd-scripts writes sshs_model_hash and sshs_legacy_hash, and the web UIs show them; ss_sd_model_hash and
ss_new_sd_model_hash identify the checkpoint a LoRA was trained on.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from .layout import header_bytes, tensor_area

_LEGACY_OFFSET = 0x100000
_LEGACY_LENGTH = 0x10000
_LEGACY_DIGITS = 8
_CHUNK = 1 << 20


def lora_hashes(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> dict[str, str]:
    """`sshs_model_hash` and `sshs_legacy_hash` of a file with these tensors in these dtypes.

    The first is the SHA-256 of the tensor bytes alone. The second covers 64 KiB of the file at 1 MiB, as it would be
    with only the `ss_` keys as metadata; for a shorter file it is the hash of nothing.
    """
    legacy = _Window(_LEGACY_OFFSET, _LEGACY_LENGTH)
    legacy.update(header_bytes(tensors, {key: text for key, text in metadata.items() if key.startswith("ss_")}))
    whole = hashlib.sha256()
    for piece in tensor_area(tensors):
        whole.update(piece)
        legacy.update(piece)
    return {"sshs_model_hash": whole.hexdigest(), "sshs_legacy_hash": legacy.hexdigest()[:_LEGACY_DIGITS]}


def legacy_file_hash(path: Path) -> str:
    """Eight digits from 64 KiB of the file at 1 MiB (`ss_sd_model_hash`, `ss_vae_hash`)."""
    with path.open("rb") as file:
        file.seek(_LEGACY_OFFSET)
        return hashlib.sha256(file.read(_LEGACY_LENGTH)).hexdigest()[:_LEGACY_DIGITS]


def file_hash(path: Path) -> str:
    """SHA-256 of the whole file (`ss_new_sd_model_hash`, `ss_new_vae_hash`)."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


class _Window:
    """SHA-256 of one window of a stream that arrives in pieces."""

    def __init__(self, offset: int, length: int) -> None:
        self._start, self._end, self._position = offset, offset + length, 0
        self._digest = hashlib.sha256()

    def update(self, piece: bytes | memoryview) -> None:
        """Take the next bytes of the stream."""
        start, end = (min(max(edge - self._position, 0), len(piece)) for edge in (self._start, self._end))
        self._digest.update(piece[start:end])
        self._position += len(piece)

    def hexdigest(self) -> str:
        """Hash of the part of the window seen so far."""
        return self._digest.hexdigest()
