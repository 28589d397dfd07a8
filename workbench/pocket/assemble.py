"""Puts the pocket checkpoint together: U-Net and VAE from the weights here, the text encoder from its seed.

ComfyUI detects the file as SD1.5. `vae_scale` is SD1.5's latent scale, so that the U-Net's latents are the
encoder's own output.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor

from . import text
from .autoencoder import PocketVAE
from .host import REPOSITORY
from .state import write_atomically
from .text import text_encoder_weights
from .weights import UNET_FILE, VAE_FILE, WEIGHTS_FOLDER, load_unet, load_vae

CHECKPOINT = REPOSITORY / ".cache" / "pocket" / "pocket.safetensors"
VAE_SCALE = 0.18215

Tensors = dict[str, Tensor]


def assemble(path: Path, weights: Path = WEIGHTS_FOLDER) -> Path:
    """Writes the checkpoint to `path` unless the one there was made from the same weights; `path`."""
    key = content_key(weights)
    if not _is_current(path, key):
        write_atomically(path, checkpoint_tensors(weights), {"pocket_key": key})
    return path


def content_key(weights: Path) -> str:
    """Names what the checkpoint is made from: the weights and the text encoder's recipe."""
    digest = hashlib.sha256(inspect.getsource(text).encode())
    for name in (UNET_FILE, VAE_FILE):
        digest.update((weights / name).read_bytes())
    return digest.hexdigest()


def _is_current(path: Path, key: str) -> bool:
    if not path.exists():
        return False
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get("pocket_key") == key


def checkpoint_tensors(weights: Path) -> dict[str, Tensor]:
    """All tensors of the checkpoint, float16."""
    return pack_checkpoint(load_unet(weights), load_vae(weights), text_encoder_weights())


def pack_checkpoint(unet: Tensors, vae: Tensors, text_encoder: Tensors, latent_scale: float = 1.0) -> Tensors:
    """The parts in float16 under the names of an SD1.5 file with a TAESD; the U-Net's latents are the scaled ones."""
    vae = {name: torch.zeros_like(tensor) for name, tensor in PocketVAE().state_dict().items()} | vae
    vae |= {"vae_scale": torch.tensor(VAE_SCALE / latent_scale), "vae_shift": torch.tensor(0.0)}
    parts = {
        "model.diffusion_model.": unet,
        "first_stage_model.": vae,
        "cond_stage_model.transformer.": text_encoder,
    }
    return {prefix + k: t.half().contiguous() for prefix, part in parts.items() for k, t in part.items()}


def main(arguments: list[str]) -> int:
    """The command; 0 when the file is there."""
    parser = argparse.ArgumentParser(prog="python workbench/pocket assemble", description=__doc__)
    parser.add_argument("path", type=Path, nargs="?", default=CHECKPOINT)
    parser.add_argument("--weights", type=Path, default=WEIGHTS_FOLDER)
    options = parser.parse_args(arguments)
    print(assemble(options.path, options.weights))
    return 0
