"""Puts the checkpoint together, samples held-out captions with ComfyUI, and draws a sheet of them.

In the sheet each row of pictures stands under the drawings that its captions were written for.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from ..pocket.assemble import pack_checkpoint
from ..pocket.host import REPOSITORY
from ..pocket.sampling import SamplerConfig, load_pocket, sample_captions
from ..pocket.sheets import save_sheet
from ..pocket.state import write_atomically
from .course import FIGURES, held_out_figures
from .kept import WEIGHTS_FOLDER, kept_unet, kept_vae
from .pictures import to_images
from .text import text_encoder_weights
from .world.captions import describe
from .world.drawing import draw_figure

CHECKPOINT = REPOSITORY / ".cache" / "pocket128" / "pocket128.safetensors"
COLUMNS = 8


def assemble(path: Path, weights: Path = WEIGHTS_FOLDER) -> Path:
    """Writes the checkpoint, an SD1.5 to ComfyUI, from the kept weights; `path`.

    Raises:
        ValueError: One of the weights is not there yet.
    """
    unet, vae = kept_unet(weights), kept_vae(weights)
    if unet is None or vae is None:
        missing = "unet.safetensors" if unet is None else "vae.safetensors"
        raise ValueError(f"{weights} holds no {missing}; train it first: dev.py pretrain 128")
    write_atomically(path, pack_checkpoint(unet, vae, text_encoder_weights(), FIGURES.latent_scale))
    return path


def main(arguments: list[str]) -> int:
    """The command; 0 when the sheet is written."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    pocket = load_pocket(assemble(options.checkpoint, options.weights))
    figures = held_out_figures()[: options.count]
    config = SamplerConfig(batch_size=8, latent_side=FIGURES.latent_side)
    sampled = sample_captions(pocket, [describe(figure) for figure in figures], config)
    drawn = np.stack([np.asarray(draw_figure(figure)) for figure in figures])
    rows = [rows[start : start + COLUMNS] for start in range(0, len(figures), COLUMNS) for rows in (drawn, sampled)]
    save_sheet(options.sheet, to_images(np.concatenate(rows)), columns=COLUMNS, zoom=1)
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sample", description=__doc__)
    parser.add_argument("sheet", type=Path, help="where to draw it, a .png file")
    parser.add_argument("--checkpoint", type=Path, default=CHECKPOINT)
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FOLDER)
    parser.add_argument("--count", type=int, default=16, help="how many of the 64 held-out captions; a multiple of 8")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args(arguments)
