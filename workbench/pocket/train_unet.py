"""Pretraining of a U-Net on latents of a course's captioned pictures.

Noise prediction with min-SNR weights (Hang et al. 2023, https://arxiv.org/abs/2303.09556), AdamW, and a moving
average of the weights. Each step draws from (seed, step), so a continued run sees what an uninterrupted one sees.
"""

from __future__ import annotations

import copy
import hashlib
import random
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from .autoencoder import PocketVAE
from .course import CREATURES, Course
from .denoiser import alphas_cumprod, build_unet, sample_latents
from .optim import MuonAdamW, OptimizerConfig, trapezoid
from .sheets import save_sheet
from .state import load_state, save_state, write_atomically


@dataclass(frozen=True, kw_only=True, slots=True)
class UNetConfig:
    """Settings of the U-Net phase."""

    num_steps: int = 40_000
    batch_size: int = 8
    num_pictures: int = 12_288
    """Different pictures, encoded once before the first step."""
    learning_rate: float = 4e-4
    seed: int = 5
    min_snr_gamma: float = 5.0
    ema_decay: float = 0.999
    ema_every: int = 4
    save_every: int = 200


def load_pictures(folder: Path, vae: PocketVAE, course: Course, config: UNetConfig) -> tuple[list[Any], Tensor]:
    """Examples and their scaled latents (N, 4, H, W), encoded once and kept in `folder`."""
    rng = random.Random(f"pictures-{config.seed}")
    examples = [course.draw_example(rng) for _ in range(config.num_pictures)]
    encoder = b"".join(p.detach().float().numpy().tobytes() for p in vae.taesd_encoder.parameters())
    key = hashlib.sha256(f"{config.num_pictures}-{config.seed}".encode() + encoder).hexdigest()[:16]
    path = folder / f"latents_{key}.safetensors"
    if not path.exists():
        write_atomically(path, {"latents": encode_pictures(vae, [course.picture(example) for example in examples])})
    return examples, course.latent_scale * load_file(path)["latents"]


def encode_pictures(vae: PocketVAE, pictures: list[Image.Image]) -> Tensor:
    """Latents (N, 4, H, W) of RGB pictures."""
    latents = []
    for start in range(0, len(pictures), 64):
        stacked = np.stack([np.asarray(picture) for picture in pictures[start : start + 64]])
        images = torch.from_numpy(stacked).permute(0, 3, 1, 2).float().div(255)
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
            latents.append(vae.encode(images.contiguous(memory_format=torch.channels_last)).float())
    return torch.cat(latents).contiguous()


def min_snr_loss(predicted: Tensor, noise: Tensor, signal_B: Tensor, gamma: float) -> Tensor:
    """Mean of the squared error times min(snr, gamma) / snr, per sample."""
    snr_B = signal_B / (1 - signal_B)
    loss_B = F.mse_loss(predicted, noise, reduction="none").mean((1, 2, 3))
    return (snr_B.clamp(max=gamma) / snr_B * loss_B).mean()


class UNetTraining:
    """The U-Net, its average, its optimizer, its pictures, and where they are kept."""

    def __init__(
        self,
        folder: Path,
        config: UNetConfig,
        vae: PocketVAE,
        start: dict[str, Tensor] | None = None,
        course: Course = CREATURES,
    ) -> None:
        self.folder, self.config, self.vae, self.course, self.step = folder, config, vae, course, 0
        torch.manual_seed(config.seed)
        self.unet = build_unet(course.unet_shape)
        if start is not None:
            self.unet.load_state_dict(start)
        self.unet = self.unet.to(memory_format=torch.channels_last)
        self.average = copy.deepcopy(self.unet).requires_grad_(False)
        only_adamw = OptimizerConfig(adamw_lr=config.learning_rate, betas=(0.9, 0.99), min_side=1_000_000)
        self.optimizer = MuonAdamW(self.unet.named_parameters(), only_adamw)
        self.signal = alphas_cumprod()
        self._resume()
        self.examples, self.latents = load_pictures(folder, vae, course, config)

    def _resume(self) -> None:
        saved = load_state(self.folder / "unet_state.safetensors")
        if saved is not None:
            self.step, groups = saved
            self.unet.load_state_dict(groups["unet"])
            self.average.load_state_dict(groups["average"])
            self.optimizer.load_state_dict(groups["optimizer"])

    def save(self) -> None:
        """Writes the state and a sheet of held-out captions."""
        groups = {
            "unet": self.unet.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
        }
        save_state(self.folder / "unet_state.safetensors", self.step, groups)
        context = self.course.encode(self.course.preview_captions())
        latents = sample_latents(self.average, context, self.course.encode([""]), side=self.course.latent_side)
        with torch.no_grad():
            save_sheet(self.folder / "unet.png", self.vae.decode(latents / self.course.latent_scale), columns=8)

    def run_step(self) -> float:
        """One step; its loss."""
        config, rng = self.config, random.Random(f"unet-{self.config.seed}-{self.step}")
        generator = torch.Generator().manual_seed(config.seed * 1_000_003 + self.step)
        picks = [rng.randrange(len(self.examples)) for _ in range(config.batch_size)]
        context = self.course.encode([self.course.caption(self.examples[pick], rng) for pick in picks])
        timesteps = torch.randint(0, 1000, (config.batch_size,), generator=generator)
        latents = self.latents[picks]
        noise = torch.randn(latents.shape, generator=generator)
        signal_B = self.signal[timesteps]
        signal = signal_B.view(-1, 1, 1, 1)
        noised = signal.sqrt() * latents + (1 - signal).sqrt() * noise
        with torch.autocast("cpu", torch.bfloat16):
            predicted = self.unet(noised.contiguous(memory_format=torch.channels_last), timesteps, context=context)
        loss = min_snr_loss(predicted.float(), noise, signal_B, config.min_snr_gamma)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.unet.parameters(), 1.0)
        self.optimizer.step(trapezoid(self.step, config.num_steps, 100, 0.4))
        self.step += 1
        self._update_average()
        return float(loss.detach())

    @torch.no_grad()
    def _update_average(self) -> None:
        every = self.config.ema_every
        if self.step % every == 0:
            decay = min(self.config.ema_decay, self.step / (self.step + 100)) ** every
            torch._foreach_lerp_(list(self.average.parameters()), list(self.unet.parameters()), 1 - decay)


def train_unet(training: UNetTraining) -> dict[str, Tensor]:
    """Trains, from where the state in its folder ends, to `num_steps`; the averaged weights."""
    config, losses, started = training.config, [], time.monotonic()
    while training.step < config.num_steps:
        losses.append(training.run_step())
        if training.step % 50 == 0:
            loss, seconds = sum(losses[-200:]) / len(losses[-200:]), time.monotonic() - started
            print(f"unet {training.step}/{config.num_steps} loss {loss:.4f} {seconds:.0f} s", flush=True)
        if training.step % config.save_every == 0 or training.step == config.num_steps:
            training.save()
    return {key: value.detach().clone() for key, value in training.average.state_dict().items()}
