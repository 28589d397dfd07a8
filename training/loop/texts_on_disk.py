"""Conditioning of many captions in a temporary file without a name, which ends with the process."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import torch
from torch import Tensor

from ..base_model import TextConditioning

LEFT_FREE = 4 * 2**30
"""Bytes of the disk that are not taken, for LoRAs and states."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A tensor in the file."""

    start: int
    num_bytes: int
    shape: torch.Size
    dtype: torch.dtype
    device: torch.device


class TextsOnDisk:
    """Adds conditioning to the file, once a caption, and reads it back with the same bits.

    `folder` should not be in memory, as /tmp may be; None is the system's own. It need not exist.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._file: IO[bytes] | None = None
        self._places: dict[str, tuple[_Place, _Place | None]] = {}

    def __contains__(self, caption: str) -> bool:
        return caption in self._places

    def add(self, caption: str, text: TextConditioning) -> None:
        """Append a caption's conditioning.

        Raises:
            OSError: The disk is nearly full or the folder cannot be written; what was added before can still be read.
        """
        if self._file is not None and shutil.disk_usage(self._folder or tempfile.gettempdir()).free < LEFT_FREE:
            raise OSError("the rest of the disk is left to what the run saves")
        context = self._write(text.context_LD)
        self._places[caption] = (context, None if text.pooled_D is None else self._write(text.pooled_D))

    def read(self, caption: str) -> TextConditioning:
        """The conditioning that was added.

        Raises:
            KeyError: It was not.
            OSError: The disk cannot be read.
        """
        context, pooled = self._places[caption]
        return TextConditioning(self._read(context), None if pooled is None else self._read(pooled))

    def _write(self, tensor: Tensor) -> _Place:
        if self._file is None:
            if self._folder is not None:
                self._folder.mkdir(parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - closed with this object
        data = tensor.cpu().contiguous().view(torch.uint8).numpy()
        start = self._file.seek(0, 2)
        if self._file.write(data.data) < data.nbytes:
            raise OSError("the disk is full")
        return _Place(start, data.nbytes, tensor.shape, tensor.dtype, tensor.device)

    def _read(self, place: _Place) -> Tensor:
        assert self._file is not None
        self._file.seek(place.start)
        data = bytearray(self._file.read(place.num_bytes))
        if len(data) < place.num_bytes:
            raise OSError("the file of encoded captions is cut")
        return torch.frombuffer(data, dtype=place.dtype).view(place.shape).to(place.device)
