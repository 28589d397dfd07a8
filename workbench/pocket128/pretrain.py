"""Pretrains the model of 128 pixels: the VAE, then the U-Net. Give the command again to go on after a stop.

Weights kept in the repository are replaced only by better ones: a VAE that draws held-out pictures truer, a U-Net with
a lower loss on held-out figures. After a new VAE remove the U-Net's state: it was learned on other latents.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch

from ..pocket.host import REPOSITORY
from ..pocket.train_unet import UNetConfig, UNetTraining, train_unet
from .autoencoder import autoencoder_of
from .course import FIGURES
from .kept import WEIGHTS_FOLDER, keep_better_unet, keep_better_vae, kept_unet, kept_vae
from .pictures import Sources, find_stickers
from .train_vae import VAEConfig, VAETraining, train_vae

STATE_FOLDER = REPOSITORY / ".cache" / "pocket128"


def main(arguments: list[str]) -> int:
    """The command; 0 when it is done."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    if options.phase != "unet":
        pretrain_vae(options)
    if options.phase != "vae":
        pretrain_unet(options)
    return 0


def pretrain_vae(options: argparse.Namespace) -> None:
    """Trains the VAE and keeps it if it is better than the kept one."""
    config = replace(VAEConfig(), num_steps=options.vae_steps, rate=options.vae_rate)
    start = kept_vae(options.weights) if options.go_on else None
    training = VAETraining(options.state, config, Sources(find_stickers(options.stickers)), start)
    keep_better_vae(train_vae(training), options.weights)


def pretrain_unet(options: argparse.Namespace) -> None:
    """Trains the U-Net on the kept VAE's latents and keeps it if it is better than the kept one.

    Raises:
        ValueError: There is no VAE yet.
    """
    if (weights := kept_vae(options.weights)) is None:
        raise ValueError(f"{options.weights} holds no vae.safetensors; train it first: dev.py pretrain 128 --phase vae")
    config = UNetConfig(num_steps=options.unet_steps, num_pictures=options.unet_pictures)
    vae, start = autoencoder_of(weights), kept_unet(options.weights) if options.go_on else None
    keep_better_unet(train_unet(UNetTraining(options.state, config, vae, start, FIGURES)), options.weights, vae)


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dev.py pretrain 128", description=__doc__)
    parser.add_argument("--phase", choices=("vae", "unet", "all"), default="all")
    parser.add_argument("--continue", dest="go_on", action="store_true", help="start from the weights there are")
    parser.add_argument("--vae-steps", type=int, default=VAEConfig().num_steps)
    parser.add_argument("--vae-rate", type=float, default=VAEConfig().rate, help="0.003 suits --continue")
    parser.add_argument("--unet-steps", type=int, default=UNetConfig().num_steps)
    parser.add_argument("--unet-pictures", type=int, default=UNetConfig().num_pictures)
    parser.add_argument("--stickers", type=Path, help="PNG files with transparency to learn from too; see vectors.mjs")
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--state", type=Path, default=STATE_FOLDER, help="folder of the resumable state")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FOLDER, help="folder of the kept weights")
    return parser.parse_args(arguments)
