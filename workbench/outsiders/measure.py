"""How a trained character's pictures compare with the right ones.

Shapes: N prompts, pictures (N, H, W, 3) uint8.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .cast import SEEN, UNSEEN, Outsider, Prompt


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one training gave."""

    seen: float
    """dB of the pictures on the dataset's backgrounds against the right ones."""
    unseen: float
    """dB on the other backgrounds."""
    vae_seen: float
    """dB of the right pictures themselves through the VAE: more cannot be had."""
    vae_unseen: float
    recognized: float
    """Share of the pictures, 0..1, that are nearest to this character's right picture among all characters'."""
    prior: float
    """Mean change of other subjects' pictures, 0..255."""
    seconds: float
    """Of the training."""


def decibels(pictures: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Peak signal-to-noise ratio (N,) of each picture."""
    error = np.square(pictures.astype(np.float64) - right).mean((1, 2, 3)).clip(1e-6)
    return 10 * np.log10(255**2 / error)


def right_pictures(outsider: Outsider, prompts: Sequence[Prompt]) -> np.ndarray:
    """The right picture (N, H, W, 3) of each prompt."""
    return np.stack([np.asarray(outsider.pictures[prompt]) for prompt in prompts])


def on(prompts: Sequence[Prompt], backgrounds: Sequence[str]) -> np.ndarray:
    """Which prompts (N,) have one of the backgrounds."""
    return np.array([background in backgrounds for _, background in prompts])


def recognized(outsider: Outsider, pictures: np.ndarray, prompts: Sequence[Prompt], cast: Sequence[Outsider]) -> float:
    """Share of the pictures, 0..1, nearest to this character's among all characters' of the same pose's place.

    Poses of one kind of character are compared with mouths of another by their order.
    """
    places = [list(outsider.pictures).index(prompt) for prompt in prompts]
    errors = []
    for other in cast:
        theirs = list(other.pictures.values())
        right = np.stack([np.asarray(theirs[place]) for place in places])
        errors.append(np.square(pictures.astype(np.float64) - right).mean((1, 2, 3)))
    return float((np.argmin(errors, 0) == list(cast).index(outsider)).mean())


def split_decibels(pictures: np.ndarray, outsider: Outsider, prompts: Sequence[Prompt]) -> tuple[float, float]:
    """Mean dB on seen and on unseen backgrounds."""
    found = decibels(pictures, right_pictures(outsider, prompts))
    return float(found[on(prompts, SEEN)].mean()), float(found[on(prompts, UNSEEN)].mean())
