"""Pictures from the host: ComfyUI's own loader, text encoder, sampler and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .host import use_comfyui


@dataclass(frozen=True)
class PocketModel:
    """What ComfyUI's checkpoint loader returns."""

    model: object
    clip: object
    vae: object


@dataclass(frozen=True, kw_only=True, slots=True)
class SamplerConfig:
    """Settings that suit the pocket model."""

    num_steps: int = 20
    cfg: float = 4.0
    sampler: str = "euler"
    scheduler: str = "normal"
    seed: int = 1
    batch_size: int = 32
    latent_side: int = 8
    """An eighth of the pictures' side."""


def load_pocket(path: Path) -> PocketModel:
    """Loads the checkpoint with ComfyUI's loader.

    Raises:
        RuntimeError: ComfyUI does not take it for SD1.5.
    """
    use_comfyui()
    import comfy.sd
    from comfy.supported_models import SD15

    model, clip, vae, _ = comfy.sd.load_checkpoint_guess_config(str(path))
    if not isinstance(model.model.model_config, SD15):
        raise RuntimeError(f"{path.name} must be detected as SD15, got {type(model.model.model_config).__name__}")
    return PocketModel(model, clip, vae)


@torch.inference_mode()
def sample_captions(pocket: PocketModel, captions: Sequence[str], config: SamplerConfig | None = None) -> np.ndarray:
    """Pictures (N, H, W, 3) uint8, one for each caption; the same seed gives the same pictures."""
    config = config or SamplerConfig()
    negative = _encode(pocket.clip, "")
    encoded = {caption: _encode(pocket.clip, caption) for caption in dict.fromkeys(captions)}
    contexts = torch.cat([encoded[caption] for caption in captions])
    batches = [
        _sample_batch(pocket, context, negative, config, config.seed + index)
        for index, context in enumerate(contexts.split(config.batch_size))
    ]
    return np.concatenate(batches)


def _encode(clip: object, caption: str) -> Tensor:
    return clip.encode_from_tokens_scheduled(clip.tokenize(caption))[0][0]


def _sample_batch(
    pocket: PocketModel, context: Tensor, negative: Tensor, config: SamplerConfig, seed: int
) -> np.ndarray:
    import comfy.sample

    empty = torch.zeros(len(context), 4, config.latent_side, config.latent_side)
    latents = comfy.sample.sample(
        pocket.model,
        comfy.sample.prepare_noise(empty, seed),
        config.num_steps,
        config.cfg,
        config.sampler,
        config.scheduler,
        [[context, {}]],
        [[negative, {}]],
        empty,
        disable_pbar=True,
        seed=seed,
    )
    images = pocket.vae.decode(latents)
    return images[..., :3].clamp(0, 1).mul(255).round().to(torch.uint8).cpu().numpy()
