"""Colors as people tell them apart: CIE Lab, D65. Shapes: (..., 3)."""

from __future__ import annotations

import numpy as np

_TO_XYZ = np.array(
    [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]]
)
_WHITE = _TO_XYZ.sum(1)


def to_lab(rgb: np.ndarray) -> np.ndarray:
    """Lab of sRGB values 0..255; a distance of 2 is just visible, of 20 plainly another color."""
    unit = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(unit <= 0.04045, unit / 12.92, ((unit + 0.055) / 1.055) ** 2.4)
    ratio = linear @ _TO_XYZ.T / _WHITE
    f = np.where(ratio > 0.008856, np.cbrt(ratio), 7.787 * ratio + 16 / 116)
    x, y, z = f[..., 0], f[..., 1], f[..., 2]
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Euclidean distance of Lab values, over the last axis."""
    return np.sqrt(np.square(a - b).sum(-1))


def nearest_name(lab: np.ndarray, palette: dict[str, tuple[int, int, int]]) -> str:
    """The palette's name for a Lab color."""
    names = list(palette)
    return names[int(distance(to_lab(np.array([palette[name] for name in names])), lab).argmin())]
