"""Pictures from the host's own sampler, with a network attached to the loaded model."""

from collections.abc import Callable
from typing import Any

import comfy.sample
import comfy.samplers
import torch
from torch import Tensor

from ...training.watch.previews import PreviewSettings
from .model.card import kept_generators

SAMPLERS: list[str] = list(comfy.samplers.KSampler.SAMPLERS)
SCHEDULERS: list[str] = list(comfy.samplers.KSampler.SCHEDULERS)


class HostSampler:
    """Samples like the host's KSampler and VAE Decode: same noise, same conditioning, same picture."""

    def __init__(
        self, model: Any, clip: Any, vae: Any, is_text_trained: bool, afterwards: Callable[[], None] = lambda: None
    ) -> None:
        """`afterwards` is called when a picture is done, since decoding may have moved the model off its device."""
        self._model = model
        self._clip = clip
        self._vae = vae
        self._is_text_trained = is_text_trained
        self._afterwards = afterwards
        self._known: dict[str, Any] = {}

    def __call__(self, prompt: str, settings: PreviewSettings) -> Tensor:
        """(H, W, 3) float32 in 0..1. Leaves the random generators unchanged."""
        try:
            return self._sampled(prompt, settings)
        finally:
            self._afterwards()

    def _sampled(self, prompt: str, settings: PreviewSettings) -> Tensor:
        with torch.inference_mode(), kept_generators(self._model.load_device):
            latent = torch.zeros(1, 4, settings.height // 8, settings.width // 8)
            latent = comfy.sample.fix_empty_latent_channels(self._model, latent)
            samples = comfy.sample.sample(
                self._model, comfy.sample.prepare_noise(latent, settings.seed), settings.steps, settings.cfg,
                settings.sampler, settings.scheduler, self._encode(prompt), self._encode(settings.negative), latent,
                disable_pbar=True, seed=settings.seed,
            )  # fmt: skip
            return self._vae.decode(samples)[0].float().cpu()

    def _encode(self, prompt: str) -> Any:
        if prompt in self._known:
            return self._known[prompt]
        encoded = self._clip.encode_from_tokens_scheduled(self._clip.tokenize(prompt))
        if not self._is_text_trained:
            self._known[prompt] = encoded
        return encoded
