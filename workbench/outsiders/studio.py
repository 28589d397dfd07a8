"""Trains and draws characters in this process: the real nodes, core's LoRA loader, sampler and VAE."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...tests.support.inprocess import HostModules, import_comfyui
from ...tests.support.paths import POCKET_CHECKPOINT, comfyui_folder
from ..comparison.kitchen import with_lora
from ..pocket.captions import held_out_creatures
from ..pocket.sampling import PocketModel, SamplerConfig, sample_captions
from ..pocket.world import describe
from .cast import Outsider
from .measure import Measured, recognized, right_pictures, split_decibels
from .training import Trial, training_graph, write_dataset

SAMPLING = SamplerConfig(batch_size=18)
NUM_OTHERS = 8
"""Creatures of the world that should stay as they were."""


def studio_in(base: Path) -> Studio:
    """Import ComfyUI with folders of its own; possible once per process."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "dev.py sets COMFYUI_PATH"
    return Studio(import_comfyui(comfyui, base, [("use_pytorch_cross_attention", True)]))


class Studio:
    """ComfyUI in this process, with the small model loaded once."""

    def __init__(self, host: HostModules) -> None:
        self._host = host
        self._pocket = PocketModel(*host.load_checkpoint(POCKET_CHECKPOINT))
        self._others = [describe(creature) for creature in held_out_creatures()[:NUM_OTHERS]]
        self._before = sample_captions(self._pocket, self._others, SAMPLING)

    def train(self, trial: Trial, cast: Sequence[Outsider]) -> tuple[Measured, np.ndarray]:
        """Train a character; what it gave, and its picture (N, H, W, 3) uint8 of each prompt.

        Raises:
            RuntimeError: the training failed.
        """
        outsider = trial.outsider
        write_dataset(self._host.base / "input" / outsider.trigger, outsider)
        root = self._host.base / "output" / "loras" / trial.name
        shutil.rmtree(root, ignore_errors=True)
        started = time.monotonic()
        ended = self._host.run_graph(training_graph(trial))
        seconds = time.monotonic() - started
        if ended.status != "success":
            raise RuntimeError(f"training {trial.key} ended with {ended.status}: {ended.error}")
        trained = with_lora(self._host, self._pocket, root / f"{trial.name}.safetensors")
        shutil.rmtree(root)
        prompts = list(outsider.pictures)
        pictures = sample_captions(trained, [outsider.caption(prompt) for prompt in prompts], SAMPLING)
        after = sample_captions(trained, self._others, SAMPLING)
        seen, unseen = split_decibels(pictures, outsider, prompts)
        vae_seen, vae_unseen = split_decibels(self._round_trip(outsider), outsider, prompts)
        measured = Measured(
            seen=seen,
            unseen=unseen,
            vae_seen=vae_seen,
            vae_unseen=vae_unseen,
            recognized=recognized(outsider, pictures, prompts, cast),
            prior=float(np.abs(after.astype(np.float64) - self._before).mean()),
            seconds=seconds,
        )
        return measured, pictures

    @torch.inference_mode()
    def _round_trip(self, outsider: Outsider) -> np.ndarray:
        """Its right pictures (N, H, W, 3) uint8 as the VAE draws them."""
        right = right_pictures(outsider, list(outsider.pictures))
        vae: Any = self._pocket.vae
        decoded = vae.decode(vae.encode(torch.from_numpy(right).float() / 255))
        return decoded[..., :3].clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
