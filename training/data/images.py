"""One training image: facts known without decoding it, and reading its pixels.

Every picture is treated as upright 8-bit RGB, as viewers show it. Images from the graph are rounded to 8 bits, so that
training on them gives the same latents as training on saved files.

Shapes: H W rows and columns, C color channels (3, or 4 with alpha).
"""

import hashlib
import threading
from contextlib import AbstractContextManager, closing, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

ALWAYS_READABLE = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
SOMETIMES_READABLE = frozenset({".avif", ".jxl"})
_UNREAD = (
    ".apng .arw .cr2 .dds .dng .exr .gif .hdr .heic .heif .ico .jfif .jp2 .jpe .mov .mp4 .nef .pbm .pgm .ppm .psd .qoi "
    ".svg .tga .tif .tiff .webm"
)
PICTURE_FORMATS = ALWAYS_READABLE | SOMETIMES_READABLE | set(_UNREAD.split())
"""Endings of pictures and clips, read or not, in lower case."""
HIGH_BIT_MODES = ("I", "I;16", "I;16B", "I;16L", "I;16N")
WHITE = (255, 255, 255, 255)
MAX_PIXELS = 178_956_970
"""Of a picture that is decoded: Pillow's own limit, which other packs in ComfyUI's process may have lifted."""
ANIMATED = frozenset({".png", ".webp", ".avif"})
"""Formats of pictures that may hold several; JPEG's further ones are previews of the same."""
LARGE_PIXELS = 30_000_000
_one_large = threading.Lock()
"""Pictures larger than that are looked at one after the other: two copies of the largest are a GB."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class ImageItem:
    """A picture with its captions."""

    name: str
    """Name in messages: path relative to the dataset's folder, or "image 3"."""
    source: Path | Tensor
    """File, or uint8 pixels (H, W, C)."""
    captions: tuple[str, ...]
    """All lines of its caption file, at least one; the first is used unless wildcards are on."""
    width: int
    """Pixels, after the EXIF rotation."""
    height: int
    """Pixels, after the EXIF rotation."""
    content_hash: str
    """Hash of the file's bytes or the pixels; equal for equal pictures, whatever their path."""
    mask: Path | Tensor | None = None
    """Loss weight by area, white = 1: a picture file or uint8 (H, W). None = the whole image counts."""
    mask_hash: str = ""
    """Hash of the mask's bytes; empty without a mask."""


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """What a scan finds out about a file."""

    width: int
    height: int
    content_hash: str
    num_frames: int
    """Pictures in the file, of which the first is trained."""


def image_extensions() -> frozenset[str]:
    """Lowercase extensions of the image formats this installation can read."""
    return ALWAYS_READABLE | (SOMETIMES_READABLE & Image.registered_extensions().keys())


def inspect_file(path: Path) -> ImageFacts:
    """Size and hash of a picture file that was decoded to its end; remembered while the file does not change.

    Raises:
        OSError: The file cannot be read or decoded.
    """
    stat = path.stat()
    return _inspect_file(path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=100_000)
def _inspect_file(path: Path, size: int, mtime_ns: int, ctime_ns: int) -> ImageFacts:
    # Copying and syncing tools restore the modification time; the change time cannot be set.
    with room_for(path):
        image = open_image(path)
    return ImageFacts(image.width, image.height, hash_bytes(path.read_bytes()), _num_frames(path))


def _num_frames(path: Path) -> int:
    if path.suffix.lower() not in ANIMATED:
        return 1
    with closing(Image.open(path)) as image:
        return int(getattr(image, "n_frames", 1))


def room_for(path: Path) -> AbstractContextManager[Any]:
    """To be held while a picture is decoded: a lock for a large one."""
    try:
        with closing(Image.open(path)) as image:
            return _one_large if image.width * image.height > LARGE_PIXELS else nullcontext()
    except Exception:  # decoding says what is wrong with it
        return nullcontext()


def check_unchanged(item: ImageItem) -> None:
    """Refuse files that changed since the item was created: its hash would name another picture.

    Raises:
        OSError: A file has other content or is missing.
    """
    for source, known in ((item.source, item.content_hash), (item.mask, item.mask_hash)):
        if isinstance(source, Path) and hash_bytes(source.read_bytes()) != known:
            raise OSError(f"{source.name} changed since the folder was read; queue again")


def open_image(source: Path | Tensor) -> Image.Image:
    """The picture upright in mode RGB, or RGBA if it has transparency.

    Raises:
        OSError: The file cannot be decoded, whatever the decoder's reason.
    """
    if isinstance(source, Tensor):
        return Image.fromarray(source.numpy())
    try:
        with closing(Image.open(source)) as image:
            check_size(image)
            upright = ImageOps.exif_transpose(image)  # decodes it
    except OSError:
        raise
    except Exception as error:  # decoders raise SyntaxError, ValueError, struct.error, DecompressionBombError ...
        raise OSError(str(error)) from error
    if upright.mode in HIGH_BIT_MODES:
        upright = eight_bits(upright)
    return upright.convert("RGBA" if upright.has_transparency_data else "RGB")


def check_size(image: Image.Image) -> None:
    """Refuse a picture that would fill the memory, before it is decoded.

    Raises:
        OSError: It has more than `MAX_PIXELS`.
    """
    if image.width * image.height > MAX_PIXELS:
        raise OSError(f"it has {image.width} x {image.height} pixels, at most {MAX_PIXELS:,} are read; make it smaller")


def eight_bits(image: Image.Image) -> Image.Image:
    """A picture of one channel of 16 or 32 bits in mode L."""
    # Pillow's own conversion clips 16-bit values at 255 instead of scaling them.
    values = torch.tensor(np.asarray(image, dtype=np.float32)) / 257
    return Image.fromarray(values.round().clamp(0, 255).to(torch.uint8).numpy())


def read_rgb_and_mask(item: ImageItem, use_alpha_mask: bool) -> tuple[Image.Image, Image.Image | None]:
    """The colors (RGB) and the mask (L) at the image's size, or None if the whole image counts.

    Transparent parts become white unless the alpha channel is the mask. A mask of the item takes precedence over alpha.

    Raises:
        OSError: A file cannot be decoded.
    """
    image = open_image(item.source)
    mask = None if item.mask is None else open_mask(item.mask).resize(image.size, Image.Resampling.BOX)
    if image.mode == "RGB":
        return image, mask
    if mask is None and use_alpha_mask:
        return image.convert("RGB"), image.getchannel("A")
    return Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB"), mask


def open_mask(source: Path | Tensor) -> Image.Image:
    """The mask in mode L; for a color picture its red channel, as in sd-scripts."""
    if isinstance(source, Tensor):
        return Image.fromarray(source.numpy())
    return open_image(source).getchannel("R")


def pixels_HWC(image: Image.Image) -> Tensor:
    """Float32 pixels in 0..1, (H, W, 3)."""
    return torch.tensor(np.asarray(image), dtype=torch.float32) / 255.0


def to_uint8(values: Tensor, name: str) -> Tensor:
    """Pixels or a mask in 0..1, rounded to 8 bits, on the CPU.

    Raises:
        ValueError: There are NaN or infinite values.
    """
    if not bool(torch.isfinite(values).all()):
        raise ValueError(
            f"{name} must hold numbers in 0..1, got NaN or infinite values; check the node that produced it"
        )
    return (values.detach().float().clamp(0, 1) * 255).round().to(device="cpu", dtype=torch.uint8).contiguous()


def hash_bytes(data: bytes) -> str:
    """32 hexadecimal digits (blake2b, 128 bits)."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def hash_tensor(values: Tensor) -> str:
    """Hash of a uint8 tensor's shape and bytes."""
    return hash_bytes(str(tuple(values.shape)).encode() + values.numpy().tobytes())
