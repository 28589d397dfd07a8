"""A small picture as it is trained: upright, on white, 8 bits per color."""

import io
from contextlib import closing
from pathlib import Path

from PIL import Image, ImageOps

from .images import HIGH_BIT_MODES, WHITE, check_size, eight_bits, open_image, room_for

STRIP_PIXELS = 4_000_000
"""A larger picture is made smaller in strips: each call of Pillow holds Python's lock, and with it the server."""
_ORIENTATION = 0x0112


def thumbnail(path: Path, size: int) -> bytes:
    """JPEG of a picture, its longer side at most `size` pixels.

    Raises:
        ValueError: It cannot be decoded, or has more than `MAX_PIXELS`; training leaves it out too.
    """
    try:
        with room_for(path):
            image = _opened(path, size)
    except FileNotFoundError:
        raise
    except OSError as error:
        reason = str(error).replace(repr(str(path)), "the file").replace(str(path), "the file")
        raise ValueError(f"{path.name} cannot be read: {reason}") from error
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image).convert("RGB")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=88)
    return buffer.getvalue()


def _opened(path: Path, size: int) -> Image.Image:
    """The picture as `open_image` gives it, a large one at no less than twice the size."""
    try:
        with closing(Image.open(path)) as image:
            check_size(image)
            if image.width * image.height <= STRIP_PIXELS:
                return open_image(path)
            image.draft("RGB", (2 * size, 2 * size))  # JPEG alone
            small = _reduced(image, max(1, max(image.size) // (2 * size)))
            small.getexif()[_ORIENTATION] = image.getexif().get(_ORIENTATION, 1)
            return ImageOps.exif_transpose(small)
    except OSError:
        raise
    except Exception as error:  # as in `open_image`
        raise OSError(str(error)) from error


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """A `factor`-th of the picture in RGB, or RGBA where it has transparency, made of strips."""
    mode = "RGBA" if image.has_transparency_data else "RGB"
    image.load()
    rows = max(1, STRIP_PIXELS // image.width // factor) * factor
    small = Image.new(mode, (-(-image.width // factor), -(-image.height // factor)))
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        strip = eight_bits(strip) if strip.mode in HIGH_BIT_MODES else strip
        small.paste(strip.convert(mode).reduce(factor), (0, top // factor))
    return small
