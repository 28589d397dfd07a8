"""Prints how true the kept VAE draws the pictures of a folder, by style, and draws what it makes of them."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from ..pocket.sheets import save_sheet
from .autoencoder import autoencoder_of
from .kept import WEIGHTS_FOLDER, kept_vae
from .quality import load_styles, round_trip, style_decibels


def main(arguments: list[str]) -> int:
    """The command; 0 when the table is printed."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    if (weights := kept_vae(options.weights)) is None:
        raise ValueError(f"{options.weights} holds no vae.safetensors; train one with `dev.py pretrain 128`")
    vae, styles = autoencoder_of(weights), load_styles(options.folder)
    ratios = style_decibels(vae, styles)
    for style, ratio in sorted(ratios.items(), key=lambda item: item[1]):
        print(f"{style:12s} {ratio:5.2f} dB")
    print(f"mean of {len(ratios)} styles {sum(ratios.values()) / len(ratios):.2f} dB, worst {min(ratios.values()):.2f}")
    if options.sheet:
        images = torch.cat([pictures[index % len(pictures)][None] for index, pictures in enumerate(styles.values())])
        save_sheet(options.sheet, torch.cat([images, round_trip(vae, images)]), columns=len(images), zoom=1)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="measure", description=__doc__)
    parser.add_argument("folder", type=Path, help="pictures named style-anything.png, such as vectors.mjs writes")
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--sheet", type=Path, help="draw one picture of each style, above what the VAE makes of it")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)
