"""Conditioning of captions: encoded once if the text encoders are frozen, with gradients if they are trained."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from ..base_model import BaseModel, TextConditioning
from ..networks.network import Network
from .texts_on_disk import TextsOnDisk

MEMORY_LIMIT = 2**29
"""Bytes of conditioning in memory: about 800 captions of SDXL (77 tokens take 0.6 MB) or 2,200 of SD1.5."""


def is_text_trained(network: Network) -> bool:
    """True if the network adapts a text encoder."""
    return any(group.part != "unet" for group in network.parameter_groups())


class FrozenTexts:
    """Encodes each distinct caption once, for frozen text encoders.

    What is prepared beyond `memory_limit` bytes goes to a temporary file in `folder`. What comes later takes the place
    of the oldest in memory.
    """

    def __init__(self, base: BaseModel, folder: Path | None = None, memory_limit: int = MEMORY_LIMIT) -> None:
        self._base = base
        self._memory_limit = memory_limit
        self._known: dict[str, TextConditioning] = {}
        self._num_bytes = 0
        self._on_disk = TextsOnDisk(folder)

    def prepare(self, captions: Sequence[str], on_progress: Callable[[int, int], None] | None = None) -> None:
        """Encode all captions before training, so that the text encoders can leave the device."""
        for done, caption in enumerate(captions, 1):
            if caption not in self._known and caption not in self._on_disk:
                self._prepare(caption)
            if on_progress is not None:
                on_progress(done, len(captions))

    def __call__(self, captions: Sequence[str]) -> Sequence[TextConditioning]:
        """Conditioning of each caption; encodes those that are not kept."""
        found = {caption: text for caption in dict.fromkeys(captions) if (text := self._find(caption)) is not None}
        missing = [caption for caption in dict.fromkeys(captions) if caption not in found]
        if missing:
            found.update(zip(missing, self._encode(missing), strict=True))
        for caption in missing:
            self._remember(caption, found[caption])
        while self._num_bytes > self._memory_limit:
            self._num_bytes -= _num_bytes(self._known.pop(next(iter(self._known))))
        return [found[caption] for caption in captions]

    def _prepare(self, caption: str) -> None:
        (text,) = self._encode([caption])
        if self._num_bytes + _num_bytes(text) <= self._memory_limit:
            self._remember(caption, text)
            return
        try:
            self._on_disk.add(caption, text)
        except OSError:  # a full disk costs time, since it is encoded when it is needed, but not the run
            return

    def _find(self, caption: str) -> TextConditioning | None:
        if caption in self._known or caption not in self._on_disk:
            return self._known.get(caption)
        try:
            return self._on_disk.read(caption)
        except OSError:
            return None

    def _encode(self, captions: Sequence[str]) -> list[TextConditioning]:
        with torch.no_grad():
            return [_plain(text) for text in self._base.encode_text(captions)]

    def _remember(self, caption: str, text: TextConditioning) -> None:
        self._known[caption] = text
        self._num_bytes += _num_bytes(text)


class TrainedTexts:
    """Encodes at every step, with gradients, for trained text encoders."""

    def __init__(self, base: BaseModel) -> None:
        self._base = base

    def __call__(self, captions: Sequence[str]) -> Sequence[TextConditioning]:
        """Conditioning of each caption; equal captions are encoded once."""
        distinct = list(dict.fromkeys(captions))
        encoded = dict(zip(distinct, self._base.encode_text(distinct), strict=True))
        return [encoded[caption] for caption in captions]


def _plain(text: TextConditioning) -> TextConditioning:
    # outside inference mode, a clone is a normal tensor that autograd may keep
    pooled = None if text.pooled_D is None else text.pooled_D.detach().clone()
    return TextConditioning(text.context_LD.detach().clone(), pooled)


def _num_bytes(text: TextConditioning) -> int:
    return text.context_LD.nbytes + (0 if text.pooled_D is None else text.pooled_D.nbytes)
