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
from .schedule import add_flow_noise, add_noise, snr, velocity, zero_terminal_snr
from .settings import ObjectiveSettings
from .timesteps import draw_timesteps


@dataclass(frozen=True, slots=True)
class NoisedBatch:
    """Input and target of the denoiser, float32; on the CPU until uploaded."""

    noisy_BCHW: Tensor
    target_BCHW: Tensor
    timestep_B: Tensor
    """int64."""
    alphas_cumprod_B: Tensor
    snr_B: Tensor

    def select(self, indices: Sequence[int]) -> "NoisedBatch":
        """A selection of the samples."""
        every = (self.noisy_BCHW, self.target_BCHW, self.timestep_B, self.alphas_cumprod_B, self.snr_B)
        return NoisedBatch(*(torch.stack([each[index] for index in indices]) for each in every))


def noise_batch(base: BaseModel, latents_BCHW: Tensor, settings: ObjectiveSettings, draws: Draws) -> NoisedBatch:
    """Mix latents (B, C, H, W) with noise, and compute the target for the model's prediction type.

    Runs on the CPU, so that a run has the same noise on every device. With zero_terminal_snr the SNR is that of the
    rescaled schedule.
    """
    latents_BCHW = latents_BCHW.to("cpu", torch.float32)
    alphas_T = base.alphas_cumprod
    alphas_T = zero_terminal_snr(alphas_T) if settings.zero_terminal_snr else alphas_T
    timestep_B = draw_timesteps(settings, draws, len(latents_BCHW), len(alphas_T))
    alphas_B = alphas_T[timestep_B].to(latents_BCHW)
    noise_BCHW = draw_noise(latents_BCHW, settings, draws)
    mixed_BCHW = input_perturbation(noise_BCHW, settings, draws)
    if base.prediction_type == "flow":
        noisy_BCHW = add_flow_noise(latents_BCHW, mixed_BCHW, alphas_T[timestep_B])
        target_BCHW = noise_BCHW - latents_BCHW
    else:
        noisy_BCHW = add_noise(latents_BCHW, mixed_BCHW, alphas_B)
        is_velocity = base.prediction_type == "v_prediction"
        target_BCHW = velocity(latents_BCHW, noise_BCHW, alphas_B) if is_velocity else noise_BCHW
    return NoisedBatch(
        noisy_BCHW=noisy_BCHW,
        target_BCHW=target_BCHW,
        timestep_B=timestep_B,
        alphas_cumprod_B=alphas_B,
        snr_B=snr(alphas_T)[timestep_B].to(latents_BCHW),
    )
