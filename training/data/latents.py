"""Encodes images once and keeps the latents, in memory or in files that cannot become stale.

A file is named by everything its content depends on (picture, mask, placement, encoder), so a changed picture or
another VAE uses another file. Images are encoded in the same groups whether or not some are cached, since the last bits
of a latent may depend on its batch.

Shapes: B images of one bucket, H W pixels (latents: an eighth), C latent channels.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from PIL import Image
from safetensors import SafetensorError
from torch import Tensor

from ..files.atomic import write_atomic
from .images import ImageItem, check_unchanged, hash_bytes
from .placement import Placement, mask_at_latents, read_placed

EncodeImages = Callable[[Tensor], Tensor]
"""Pixels (B, H, W, 3) in 0..1 to scaled latents (B, C, H/8, W/8)."""
Progress = Callable[[int, int], None]
"""Called with (done, total)."""

CACHE_FORMAT = 3
MAX_PIXELS_AT_ONCE = 2**21
MAX_IMAGES_AT_ONCE = 16


class UnreadableImages(ValueError):
    """Pictures that are missing, damaged or changed since the folder was read."""

    def __init__(self, names: Sequence[str]) -> None:
        """Name each picture with its error."""
        super().__init__(f"images cannot be read, replace or remove them: {'; '.join(names)}")
        self.names = tuple(names)


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image as training sees it."""

    latents_CHW: Tensor
    mask_1HW: Tensor | None


Keep = Literal["ram", "disk", "no"]


@dataclass(frozen=True, slots=True)
class View:
    """An image at one placement."""

    item: ImageItem
    placement: Placement
    use_alpha_mask: bool
    keep: Keep
    """Where its latents are kept; "no" for views that do not recur (random crops)."""

    def key(self, encoder_id: str) -> str:
        """Name derived from everything that its latents depend on."""
        parts = (CACHE_FORMAT, self.item.content_hash, self.item.mask_hash, self.use_alpha_mask, encoder_id)
        return hash_bytes(repr((*parts, *astuple(self.placement))).encode())


class LatentSource:
    """Latents of views, cached or encoded."""

    def __init__(self, encode_images: EncodeImages, encoder_id: str = "", cache_dir: Path | None = None) -> None:
        self._encode_images = encode_images
        self._encoder_id = encoder_id
        self._cache_dir = cache_dir
        self._memory: dict[str, Encoded] = {}

    def fill(self, views: Iterable[View], on_progress: Progress) -> None:
        """Encode all cacheable views that are not cached yet.

        Raises:
            UnreadableImages: Pictures cannot be read; all of them are named.
            ValueError: The encoder gives NaN.
        """
        kept = {view.key(self._encoder_id): view for view in views if view.keep != "no"}
        broken: list[str] = []
        done = 0
        for chunk in _chunks(kept):
            try:
                self._fill_chunk([kept[key] for key in chunk], chunk)
            except UnreadableImages as error:
                broken += error.names
            done += len(chunk)
            on_progress(done, len(kept))
        if broken:
            raise UnreadableImages(broken)

    def _fill_chunk(self, views: Sequence[View], keys: Sequence[str]) -> None:
        missing = [self._find(view, key) is None for view, key in zip(views, keys, strict=True)]
        if not any(missing):
            return
        for view, key, encoded, is_new in zip(views, keys, self._encode(views), missing, strict=True):
            if is_new:
                self._keep(view, key, encoded)

    def get(self, views: Sequence[View]) -> list[Encoded]:
        """Latents of views of one bucket, in order; those not cached are encoded together."""
        found = [self._find(view, view.key(self._encoder_id)) for view in views]
        fresh: Iterator[Encoded] = iter(())
        missing = [view for view, encoded in zip(views, found, strict=True) if encoded is None]
        if missing:
            fresh = iter(self._encode(missing))
        return [encoded or next(fresh) for encoded in found]

    def _find(self, view: View, key: str) -> Encoded | None:
        if key in self._memory or not self._is_on_disk(view):
            return self._memory.get(key)
        try:
            tensors = safetensors.torch.load_file(self._file(key))  # pyright: ignore[reportUnknownMemberType]
        except (OSError, SafetensorError):  # a damaged file counts as missing: it is written again
            return None
        return Encoded(tensors["latents"], tensors.get("mask"))

    def _keep(self, view: View, key: str, encoded: Encoded) -> None:
        if not self._is_on_disk(view):
            self._memory[key] = encoded
            return
        tensors = {"latents": encoded.latents_CHW}
        if encoded.mask_1HW is not None:
            tensors["mask"] = encoded.mask_1HW
        try:
            write_atomic(
                self._file(key),
                lambda path: safetensors.torch.save_file(tensors, path),  # pyright: ignore[reportUnknownMemberType]
            )
        except (OSError, SafetensorError):  # a full disk costs the next run time, but this run nothing
            self._memory[key] = encoded

    def _is_on_disk(self, view: View) -> bool:
        """True unless there is no folder or no id of the encoder; then latents stay in memory."""
        return view.keep == "disk" and self._cache_dir is not None and bool(self._encoder_id)

    def _file(self, key: str) -> Path:
        assert self._cache_dir is not None
        return self._cache_dir / key[:2] / f"{key}.safetensors"

    def _encode(self, views: Sequence[View]) -> list[Encoded]:
        pictures = _read(views)
        latents_BCHW = (
            self._encode_images(torch.stack([pixels for pixels, _ in pictures])).detach().to("cpu", torch.float32)
        )
        for view, latents_CHW in zip(views, latents_BCHW, strict=True):
            if not bool(torch.isfinite(latents_CHW).all()):
                raise ValueError(
                    f"the VAE gives NaN or infinite latents for {view.item.name}; "
                    "run it in float32 or bfloat16 (SDXL's own VAE fails in float16), or use another VAE"
                )
        height, width = latents_BCHW.shape[-2:]
        return [
            # a clone each, so that no latent keeps its whole batch in memory
            Encoded(latents_CHW.clone(), None if mask is None else mask_at_latents(mask, width, height))
            for latents_CHW, (_, mask) in zip(latents_BCHW, pictures, strict=True)
        ]


def _read(views: Sequence[View]) -> list[tuple[Tensor, Image.Image | None]]:
    pictures: list[tuple[Tensor, Image.Image | None]] = []
    broken: list[str] = []
    for view in views:
        try:
            check_unchanged(view.item)
            pictures.append(read_placed(view.item, view.placement, view.use_alpha_mask))
        except OSError as error:
            broken.append(f"{view.item.name} ({error})")
    if broken:
        raise UnreadableImages(broken)
    return pictures


def _chunks(views: dict[str, View]) -> Iterator[list[str]]:
    """Keys in groups of one bucket, of the size that is encoded at once; groups depend on the set of keys alone."""
    ordered = sorted(views, key=lambda key: (views[key].placement.bucket, key))
    for (width, height), keys in groupby(ordered, key=lambda key: views[key].placement.bucket):
        bucket = list(keys)
        size = max(1, min(MAX_IMAGES_AT_ONCE, MAX_PIXELS_AT_ONCE // (width * height)))
        yield from (bucket[start : start + size] for start in range(0, len(bucket), size))
