"""Pretraining of the pocket VAE on creatures, some with random decorations and colors.

The encoder comes to rest first and the decoder is trained on, so that the latents the U-Net learns are final.
Each step draws its pictures from (seed, step), so a continued run sees what an uninterrupted one sees.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from .autoencoder import PocketVAE, initialize_vae, trainable_names
from .optim import MuonAdamW, OptimizerConfig, trapezoid
from .sheets import save_sheet
from .state import load_state, save_state
from .world import Color, Decoration, Pen, draw_creature, random_creature


@dataclass(frozen=True, kw_only=True, slots=True)
class VAEConfig:
    """Settings of the VAE phase."""

    num_steps: int = 12_000
    batch_size: int = 16
    seed: int = 1
    encoder_share: float = 0.8
    """Share of the steps in which the encoder still learns."""
    latent_noise: float = 0.04
    """Standard deviation of the noise the decoder has to bear; latents have about 1."""
    edge_weight: float = 4.0
    """How much more a pixel at an edge counts than one on a plain surface."""
    save_every: int = 300


def random_color(rng: random.Random) -> Color:
    """Any RGB color."""
    return rng.randrange(256), rng.randrange(256), rng.randrange(256)


def random_decoration(rng: random.Random) -> Decoration:
    """One to four shapes anywhere on the creature, for a VAE that can draw more than the world has."""

    def decorate(pen: Pen) -> None:
        for _ in range(rng.randint(1, 4)):
            _decorate_once(pen, rng)

    return decorate


def _decorate_once(pen: Pen, rng: random.Random) -> None:
    fill = _vivid_color(rng) if rng.random() < 0.6 else random_color(rng)
    x, y = rng.uniform(-0.9, 0.9), rng.uniform(-1.5, 0.9)
    w, h = rng.uniform(0.15, 0.7), rng.uniform(0.12, 0.5)
    kind = rng.choice(("ellipse", "box", "triangle", "pair", "stripes", "crown", "hat", "fins"))
    if kind == "ellipse":
        pen.ellipse(x, y, w, h, fill)
    elif kind == "box":
        pen.box(x - w, y - h, x + w, y + h, fill)
    elif kind == "triangle":
        pen.polygon((x - w, y + h), (x + w, y + h), (x, y - h), fill=fill)
    elif kind == "stripes":
        gap = rng.uniform(0.2, 0.4)
        for index in range(rng.randint(1, 3)):
            pen.box(-w, 0.3 + index * gap, w, 0.3 + (index + 0.55) * gap, fill)
    elif kind == "crown":
        tips = [(-w, -0.7), (-w, -1.4), (-w / 2, -1.05), (0, -1.5), (w / 2, -1.05), (w, -1.4), (w, -0.7)]
        pen.polygon(*tips, fill=fill)
    elif kind == "hat":
        pen.box(-w, -0.75 - h * 1.6, w, -0.75, fill)
    else:
        _decorate_sides(pen, kind, max(0.3, abs(x)), y, w, fill)


def _decorate_sides(pen: Pen, kind: str, x: float, y: float, w: float, fill: Color) -> None:
    for side in (-1, 1):
        if kind == "pair":
            pen.ellipse(side * x, y, w * 0.6, w * 0.6, fill)
        else:
            pen.polygon((side * 0.55, y), (side * (0.6 + w), y - w), (side * (0.6 + w), y + w), fill=fill)


def _vivid_color(rng: random.Random) -> Color:
    channels = [rng.randrange(200, 256), rng.randrange(0, 256), rng.randrange(0, 90)]
    rng.shuffle(channels)
    return channels[0], channels[1], channels[2]


def draw_batch(batch_size: int, rng: random.Random) -> Tensor:
    """Pictures (B, 3, 64, 64) in 0..1: creatures, some decorated or in colors the world does not name."""
    pictures = []
    for _ in range(batch_size):
        creature = random_creature(rng)
        if rng.random() < 0.25:
            creature = replace(creature, skin=random_color(rng))
        if rng.random() < 0.12:
            creature = replace(creature, backdrop=random_color(rng))
        decoration = random_decoration(rng) if rng.random() < 0.6 else None
        pictures.append(np.asarray(draw_creature(creature, decoration)))
    images = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float().div(255)
    return images.contiguous(memory_format=torch.channels_last)


def reconstruction_loss(decoded: Tensor, images: Tensor, edge_weight: float) -> Tensor:
    """Absolute plus squared error, weighted by the contrast around each pixel, plus the error of 4x4 means.

    Contrast keeps small parts sharp, means keep the colors of large ones true.
    """
    contrast = F.max_pool2d(images, 5, 1, 2) + F.max_pool2d(-images, 5, 1, 2)
    weight = 1 + edge_weight * contrast.amax(1, keepdim=True)
    error = decoded - images
    fine = (weight * (error.abs() + 2 * error.square())).mean() / (1 + edge_weight / 4)
    return fine + 2 * F.avg_pool2d(error, 4).abs().mean()


def latent_penalty(latents: Tensor) -> Tensor:
    """Holds each channel near mean 0 and variance 1, and values off the clamp at 3."""
    mean, variance = latents.mean((0, 2, 3)), latents.var((0, 2, 3))
    spread = mean.square().mean() + (variance - 1).square().mean()
    return 2e-3 * spread + 1e-3 * F.relu(latents.abs() - 2.6).mean()


class VAETraining:
    """The VAE, its two optimizers, and where they are kept."""

    def __init__(self, folder: Path, config: VAEConfig, start: dict[str, Tensor] | None) -> None:
        self.folder, self.config, self.step = folder, config, 0
        torch.manual_seed(config.seed)
        self.vae = PocketVAE()
        initialize_vae(self.vae)
        if start is not None:
            self.vae.load_state_dict(start)
        self.vae = self.vae.to(memory_format=torch.channels_last)
        named, trainable = dict(self.vae.named_parameters()), trainable_names(self.vae)
        halves = {half: {k: named[k] for k in trainable if k.startswith(half)} for half in _HALVES}
        self.optimizers = {k: MuonAdamW(v.items(), OptimizerConfig()) for k, v in halves.items()}
        if (saved := load_state(folder / "vae_state.safetensors")) is not None:
            self.step, groups = saved
            self.vae.load_state_dict(groups["vae"])
            for half, optimizer in self.optimizers.items():
                optimizer.load_state_dict(groups[half])

    def save(self) -> None:
        """Writes the state and a sheet: pictures above what the VAE makes of them."""
        groups = {half: optimizer.state_dict() for half, optimizer in self.optimizers.items()}
        save_state(self.folder / "vae_state.safetensors", self.step, {"vae": self.vae.state_dict(), **groups})
        images = draw_batch(20, random.Random(7))
        with torch.no_grad():
            decoded = self.vae.decode(self.vae.encode(images))
        rows = torch.cat([images[:10], decoded[:10], images[10:], decoded[10:]])
        save_sheet(self.folder / "vae.png", rows, columns=10)

    def run_step(self) -> float:
        """One step; the reconstruction loss."""
        config = self.config
        images = draw_batch(config.batch_size, random.Random(f"vae-{config.seed}-{self.step}"))
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        encoder_steps = round(config.num_steps * config.encoder_share)
        is_encoding = self.step < encoder_steps
        with torch.autocast("cpu", torch.bfloat16):
            with torch.set_grad_enabled(is_encoding):
                latents = self.vae.encode(images)
            noise = torch.randn(latents.shape, generator=generator)
            decoded = self.vae.decode(latents + config.latent_noise * noise)
        reconstruction = reconstruction_loss(decoded.float(), images, config.edge_weight)
        (reconstruction + latent_penalty(latents.float())).backward()
        torch.nn.utils.clip_grad_norm_(self.vae.parameters(), 1.0)
        if is_encoding:
            self.optimizers["taesd_encoder"].step(trapezoid(self.step, encoder_steps, 50, 0.5))
        self.optimizers["taesd_decoder"].step(trapezoid(self.step, config.num_steps, 50, 0.4))
        self.step += 1
        return float(reconstruction.detach())


_HALVES = ("taesd_encoder", "taesd_decoder")


def train_vae(folder: Path, config: VAEConfig, start: dict[str, Tensor] | None) -> dict[str, Tensor]:
    """Trains, or goes on from the state in `folder`, to `num_steps`; the weights."""
    training, losses, started = VAETraining(folder, config, start), [], time.monotonic()
    while training.step < config.num_steps:
        losses.append(training.run_step())
        if training.step % 25 == 0:
            loss, seconds = sum(losses[-100:]) / len(losses[-100:]), time.monotonic() - started
            print(f"vae {training.step}/{config.num_steps} loss {loss:.4f} {seconds:.0f} s", flush=True)
        if training.step % config.save_every == 0 or training.step == config.num_steps:
            training.save()
    return {key: value.detach().clone() for key, value in training.vae.state_dict().items()}
