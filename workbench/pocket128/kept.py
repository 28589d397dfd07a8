"""The weights kept here, and the rule that only better ones replace them."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..pocket.denoiser import alphas_cumprod, build_unet
from ..pocket.train_unet import UNetConfig, encode_pictures, min_snr_loss
from ..pocket.weights import UNET_FILE, VAE_FILE, load_unet, load_vae, save_unet, save_vae
from .autoencoder import Autoencoder, autoencoder_of
from .course import FIGURES, held_out_figures
from .pictures import held_out_pictures
from .quality import decibels, round_trip
from .world.captions import describe

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


def kept_unet(folder: Path = WEIGHTS_FOLDER) -> dict[str, Tensor] | None:
    """The U-Net's kept weights, float32; None where there are none yet."""
    return load_unet(folder) if (folder / UNET_FILE).exists() else None


def keep_better_unet(weights: dict[str, Tensor], folder: Path, vae: Autoencoder) -> bool:
    """Keeps the weights if their loss on held-out figures is below that of the kept ones; whether."""
    kept = kept_unet(folder)
    now, before = held_out_loss(weights, vae), float("inf") if kept is None else held_out_loss(kept, vae)
    is_better = now < before
    if is_better:
        save_unet(weights, folder)
    print(f"held-out loss {now:.4f}, kept until now {before:.4f}: {'replaced' if is_better else 'left as they are'}")
    return is_better


@torch.no_grad()
def held_out_loss(weights: dict[str, Tensor], vae: Autoencoder, count: int = 64) -> float:
    """The training's loss on figures it never draws, with full captions, at timesteps spread over all of them."""
    unet = build_unet(FIGURES.unet_shape)
    unet.load_state_dict(weights)
    figures = held_out_figures()[:count]
    latents = FIGURES.latent_scale * encode_pictures(vae, [FIGURES.picture(figure) for figure in figures])
    noise = torch.randn(latents.shape, generator=torch.Generator().manual_seed(0))
    context = FIGURES.encode([describe(figure) for figure in figures])
    timesteps = torch.linspace(0, 999, count).long()
    signal_B = alphas_cumprod()[timesteps]
    signal = signal_B.view(-1, 1, 1, 1)
    noised = signal.sqrt() * latents + (1 - signal).sqrt() * noise
    with torch.autocast("cpu", torch.bfloat16):
        pieces = zip(*(x.split(8) for x in (noised, timesteps, context)), strict=True)
        predicted = torch.cat([unet(x, t, context=c).float() for x, t, c in pieces])
    return float(min_snr_loss(predicted, noise, signal_B, UNetConfig().min_snr_gamma))
