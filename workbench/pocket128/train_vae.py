"""Training of the VAE on pieces of pictures: squared error, a little absolute error, and the error of edges.

The average of the weights over the last steps is what is kept and measured.
"""

from __future__ import annotations

import copy
import random
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pocket.autoencoder import initialize_vae
from ..pocket.optim import MuonAdamW, OptimizerConfig, trapezoid
from ..pocket.sheets import save_sheet
from ..pocket.state import load_state, save_state
from .autoencoder import Autoencoder
from .pictures import Sources, held_out_pictures, training_crops
from .quality import decibels, round_trip

STATE_FILE = "vae_state.safetensors"


@dataclass(frozen=True, kw_only=True, slots=True)
class VAEConfig:
    """Settings of the VAE phase."""

    num_steps: int = 40_000
    batch_size: int = 8
    piece_px: int = 64
    """Side of the pieces; a whole picture costs four times as much and teaches little more."""
    seed: int = 1
    rate: float = 0.01
    """Of the convolutions; a tenth of it for the few thin layers. Trained weights go on better with 0.003."""
    latent_noise: float = 0.02
    """Standard deviation of the noise the decoder has to bear; latents have about 1."""
    average_decay: float = 0.998
    num_held_out: int = 48
    save_every: int = 250


def edges(images: Tensor) -> tuple[Tensor, Tensor]:
    """Differences of neighbors across (B, 3, H, W-1) and down (B, 3, H-1, W)."""
    return images[..., 1:] - images[..., :-1], images[..., 1:, :] - images[..., :-1, :]


def reconstruction_loss(decoded: Tensor, images: Tensor) -> Tensor:
    """6 times the squared error, and a fifth each of the absolute error and of that of the edges."""
    across, down = (F.l1_loss(a, b) for a, b in zip(edges(decoded), edges(images), strict=True))
    return 6 * F.mse_loss(decoded, images) + 0.2 * (F.l1_loss(decoded, images) + across + down)


def latent_penalty(latents: Tensor) -> Tensor:
    """Holds each channel near mean 0 and variance 1, and values off the clamp at 3."""
    mean, variance = latents.mean((0, 2, 3)), latents.var((0, 2, 3))
    return 1e-3 * (mean.square().mean() + (variance - 1).square().mean()) + 1e-3 * F.relu(latents.abs() - 2.6).mean()


class VAETraining:
    """The VAE, the average of its weights, its optimizer, and where they are kept."""

    def __init__(self, folder: Path, config: VAEConfig, sources: Sources, start: dict[str, Tensor] | None) -> None:
        self.folder, self.config, self.sources, self.step = folder, config, sources, 0
        torch.manual_seed(config.seed)
        self.vae = Autoencoder()
        initialize_vae(self.vae)
        if start is not None:
            self.vae.load_state_dict(start)
        self.vae = self.vae.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.vae).requires_grad_(False)
        rates = OptimizerConfig(muon_lr=config.rate, adamw_lr=config.rate / 10)
        self.optimizer = MuonAdamW(self.vae.named_parameters(), rates)
        if (saved := load_state(folder / STATE_FILE)) is not None:
            self.step, groups = saved
            self.vae.load_state_dict(groups["vae"])
            self.average.load_state_dict(groups["average"])
            self.optimizer.load_state_dict(groups["optimizer"])

    def save(self) -> None:
        """Writes the state."""
        groups = {
            "vae": self.vae.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_state(self.folder / STATE_FILE, self.step, groups)

    def measure(self) -> Tensor:
        """The ratio (N,) in dB of the held-out pictures; also draws some above what the average makes of them."""
        images = held_out_pictures(self.config.num_held_out)
        decoded = round_trip(self.average, images)
        rows = torch.cat([images[:8], decoded[:8], images[8:16], decoded[8:16]])
        save_sheet(self.folder / "vae.png", rows, columns=8, zoom=1)
        return decibels(decoded, images)

    def run_step(self) -> float:
        """One step; the reconstruction loss."""
        config = self.config
        rng = random.Random(f"vae-{config.seed}-{self.step}")
        images = training_crops(self.sources, config.batch_size, config.piece_px, rng)
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        with torch.autocast("cpu", torch.bfloat16):
            latents = self.vae.encode(images)
            noise = torch.randn(latents.shape, generator=generator)
            decoded = self.vae.decode(latents + config.latent_noise * noise)
        reconstruction = reconstruction_loss(decoded.float(), images)
        (reconstruction + latent_penalty(latents.float())).backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        self.optimizer.step(trapezoid(self.step, config.num_steps, 50, 0.8))
        self.step += 1
        self._update_average()
        return float(reconstruction.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        decay = min(self.config.average_decay, self.step / (self.step + 20))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.vae.parameters()), 1 - decay)


def train_vae(training: VAETraining) -> dict[str, Tensor]:
    """Trains to `num_steps`, saving on the way; the averaged weights."""
    config, losses, started = training.config, [], time.monotonic()
    while training.step < config.num_steps:
        losses.append(training.run_step())
        is_last = training.step == config.num_steps
        if training.step % 50 == 0:
            loss, seconds = sum(losses[-50:]) / len(losses[-50:]), time.monotonic() - started
            print(f"vae {training.step}/{config.num_steps} loss {loss:.4f} {seconds:.0f} s", flush=True)
        if training.step % config.save_every == 0 or is_last:
            training.save()
        if training.step % (4 * config.save_every) == 0 or is_last:
            ratio = training.measure()
            print(f"vae {training.step} held-out {ratio.mean():.2f} dB, worst {ratio.min():.2f}", flush=True)
    return {key: value.detach().clone() for key, value in training.average.state_dict().items()}
