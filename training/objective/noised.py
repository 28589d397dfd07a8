"""A batch at its noise level: input and target of the denoiser.

Shapes: T timesteps, B batch, C latent channels, H W latent rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..base_model import BaseModel
from .draws import Draws
from .noise import draw_noise, input_perturbation
from .schedule import add_noise, snr, velocity, zero_terminal_snr
from .settings import ObjectiveSettings
from .timesteps import draw_timesteps


@dataclass(frozen=True, slots=True)
class NoisedBatch:
    """Input and target of the denoiser, float32, on the model's device."""

    noisy_BCHW: Tensor
    target_BCHW: Tensor
    timestep_B: Tensor
    """int64."""
    alphas_cumprod_B: Tensor
    snr_B: Tensor

    def select(self, indices: Sequence[int]) -> "NoisedBatch":
        """Some of the samples."""
        index = torch.tensor(indices, device=self.noisy_BCHW.device)
        return NoisedBatch(
            self.noisy_BCHW[index],
            self.target_BCHW[index],
            self.timestep_B[index],
            self.alphas_cumprod_B[index],
            self.snr_B[index],
        )


def noise_batch(base: BaseModel, latents_BCHW: Tensor, settings: ObjectiveSettings, draws: Draws) -> NoisedBatch:
    """Latents (B, C, H, W), float32, mixed with the noise the draws name, and the target of the model's kind.

    With zero_terminal_snr the SNR is that of the rescaled schedule.
    """
    alphas_T = base.alphas_cumprod.to("cpu", torch.float64)
    alphas_T = zero_terminal_snr(alphas_T) if settings.zero_terminal_snr else alphas_T
    timestep_B = draw_timesteps(settings, draws, len(latents_BCHW), len(alphas_T))
    alphas_B = alphas_T[timestep_B].to(latents_BCHW)
    noise_BCHW = draw_noise(latents_BCHW, settings, draws)
    noisy_BCHW = add_noise(latents_BCHW, input_perturbation(noise_BCHW, settings, draws), alphas_B)
    is_velocity = base.prediction_type == "v_prediction"
    return NoisedBatch(
        noisy_BCHW=noisy_BCHW,
        target_BCHW=velocity(latents_BCHW, noise_BCHW, alphas_B) if is_velocity else noise_BCHW,
        timestep_B=timestep_B.to(latents_BCHW.device),
        alphas_cumprod_B=alphas_B,
        snr_B=snr(alphas_T)[timestep_B].to(latents_BCHW),
    )
