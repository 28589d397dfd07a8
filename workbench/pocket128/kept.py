"""The weights kept here, and the rule that only better ones replace them."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from ..pocket.weights import VAE_FILE, load_vae, save_vae
from .autoencoder import autoencoder_of
from .pictures import held_out_pictures
from .quality import decibels, round_trip

WEIGHTS_FOLDER = Path(__file__).resolve().parent / "weights"


def kept_vae(folder: Path = WEIGHTS_FOLDER) -> dict[str, Tensor] | None:
    """The VAE's kept weights, float32; None where there are none yet."""
    return load_vae(folder) if (folder / VAE_FILE).exists() else None


def keep_better_vae(weights: dict[str, Tensor], folder: Path, num_pictures: int = 96) -> bool:
    """Keeps the weights if they draw the held-out pictures better, in dB on average, than the kept ones; whether."""
    images = held_out_pictures(num_pictures)
    kept = kept_vae(folder)
    now, before = _score(weights, images), -1.0 if kept is None else _score(kept, images)
    is_better = now > before
    if is_better:
        save_vae(weights, folder)
    print(f"held-out {now:.2f} dB, kept until now {before:.2f} dB: {'replaced' if is_better else 'left as they are'}")
    return is_better


def _score(weights: dict[str, Tensor], images: Tensor) -> float:
    return float(decibels(round_trip(autoencoder_of(weights), images), images).mean())
