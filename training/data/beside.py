"""Masks that lie beside their pictures, `NAME-masklabel.png` as OneTrainer writes them or `NAME_mask.png`.

A name alone could be a picture's. A mask also has its picture's proportions and no color.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from re import compile as regex

import numpy as np

from .images import open_image

_MASK = regex(r"(.+?)([-_. ]?mask(?:label)?s?)", re.IGNORECASE)
MAX_COLOR = 8
"""Largest difference of a gray pixel's channels, of 255: JPEG does not keep them equal."""
MAX_ASPECT_DIFFERENCE = 0.02


def mask_like(pictures: Iterable[Path]) -> list[tuple[Path, Path]]:
    """(picture, file beside it that is named like its mask), in the order of the files."""
    by_stem: dict[Path, list[Path]] = {}
    known = list(pictures)
    for path in known:
        by_stem.setdefault(path.with_suffix(""), []).append(path)
    named = ((path, _MASK.fullmatch(path.stem)) for path in known)
    return [(picture, path) for path, match in named if match for picture in by_stem.get(path.with_name(match[1]), [])]


def masks_beside(pictures: Iterable[Path]) -> dict[Path, Path]:
    """The mask of each picture that has one beside it; of several the first."""
    found: dict[Path, Path] = {}
    for picture, path in mask_like(pictures):
        if picture not in found and _is_mask(path, picture):
            found[picture] = path
    return found


def stem_of_masked(stem: str) -> str | None:
    """Stem of the picture whose mask a file of this stem is by its name; None if it is none's."""
    match = _MASK.fullmatch(stem)
    return match[1] if match else None


def renamed_mask(mask: Path, target: Path) -> Path:
    """Where the mask belongs once its picture is at `target`."""
    match = _MASK.fullmatch(mask.stem)
    assert match is not None
    return target.with_name(f"{target.stem}{match[2]}{mask.suffix}")


def _is_mask(path: Path, picture: Path) -> bool:
    try:
        stats = [(one, one.stat().st_size, one.stat().st_mtime_ns) for one in (path, picture)]
        return _looks_like_mask(*stats)
    except OSError:  # what cannot be read is named elsewhere
        return False


@lru_cache(maxsize=20_000)
def _looks_like_mask(mask: tuple[Path, int, int], picture: tuple[Path, int, int]) -> bool:
    image, other = open_image(mask[0]), open_image(picture[0])
    ratio = (image.width / image.height) / (other.width / other.height)
    channels = np.asarray(image.convert("RGB"), dtype=np.int16)
    is_gray = int((channels.max(axis=2) - channels.min(axis=2)).max()) <= MAX_COLOR
    return is_gray and abs(ratio - 1) <= MAX_ASPECT_DIFFERENCE
