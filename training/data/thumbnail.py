"""A small picture as it is trained: upright, on white, 8 bits per color."""

import io
from pathlib import Path

from PIL import Image

from .images import WHITE, open_image


def thumbnail(path: Path, size: int) -> bytes:
    """JPEG of a picture, its longer side at most `size` pixels.

    Raises:
        ValueError: It cannot be decoded, or has more pixels than Pillow opens; training leaves it out too.
    """
    try:
        image = open_image(path)
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
