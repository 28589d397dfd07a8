"""Pretrains the pocket model: the VAE, then the U-Net, then the weights into workbench/pocket/weights.

Each phase keeps its state in a folder and goes on from it when the command is given again.
"""

from __future__ import annotations

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch

from .autoencoder import PocketVAE
from .host import REPOSITORY
from .train_unet import UNetConfig, UNetTraining, train_unet
from .train_vae import VAEConfig, VAETraining, train_vae
from .weights import load_unet, load_vae, save_unet, save_vae

STATE_FOLDER = REPOSITORY / ".cache" / "pocket"


def main(arguments: list[str]) -> int:
    """The command; 0 when it is done."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    vae_config = replace(VAEConfig(), num_steps=options.vae_steps)
    unet_config = replace(UNetConfig(), num_steps=options.unet_steps)
    vae = PocketVAE().to(memory_format=torch.channels_last)
    if options.phase != "unet":
        start_vae = load_vae(options.weights) if options.go_on else None
        save_vae(train_vae(options.state, vae_config, start_vae), options.weights)
    if options.phase == "vae":
        return 0
    vae.load_state_dict(VAETraining(options.state, vae_config, None).vae.state_dict())
    start_unet = load_unet(options.weights) if options.go_on else None
    save_unet(train_unet(UNetTraining(options.state, unet_config, vae, start_unet)), options.weights)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python workbench/pocket pretrain", description=__doc__)
    parser.add_argument("--phase", choices=("vae", "unet", "all"), default="all")
    parser.add_argument("--continue", dest="go_on", action="store_true", help="start from the weights there are")
    parser.add_argument("--vae-steps", type=int, default=VAEConfig().num_steps)
    parser.add_argument("--unet-steps", type=int, default=UNetConfig().num_steps)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--state", type=Path, default=STATE_FOLDER, help="folder of the resumable state")
    parser.add_argument(
        "--weights", type=Path, default=None, help="another folder of weights to start from and write to"
    )
    return parser.parse_args(arguments)
