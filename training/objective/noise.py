"""Noise: Gaussian, channel offsets, several resolutions, and input perturbation.

Sources: noise offset https://www.crosslabs.org/blog/diffusion-with-offset-noise; multi-resolution noise
https://wandb.ai/johnowhitaker/multires_noise; input perturbation https://arxiv.org/abs/2301.11706.

Every sample uses its own generators, on the CPU. Shapes: B batch, C latent channels, H W latent rows and columns.
"""

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from .draws import Draws
from .settings import ObjectiveSettings


def draw_noise(latents_BCHW: Tensor, settings: ObjectiveSettings, draws: Draws) -> Tensor:
    """The noise to predict, (B, C, H, W), float32, on the latents' device."""
    noise_BCHW = gaussian(latents_BCHW, "noise", draws)
    if settings.noise_offset > 0:
        noise_BCHW = noise_BCHW + channel_offset(latents_BCHW, settings, draws)
    if settings.multires_noise_iterations > 0:
        noise_BCHW = multires(noise_BCHW, settings.multires_noise_iterations, settings.multires_noise_discount, draws)
    return noise_BCHW


def input_perturbation(noise_BCHW: Tensor, settings: ObjectiveSettings, draws: Draws) -> Tensor:
    """The noise added to the latents: the target's noise plus extra input noise (kohya: ip_noise_gamma)."""
    if settings.input_perturbation == 0:
        return noise_BCHW
    extra_BCHW = gaussian(noise_BCHW, "input perturbation", draws)
    strength_B111 = _strengths(
        settings.input_perturbation,
        settings.input_perturbation_random,
        "input perturbation strength",
        noise_BCHW,
        draws,
    )
    return noise_BCHW + strength_B111 * extra_BCHW


def gaussian(like_BCHW: Tensor, purpose: str, draws: Draws) -> Tensor:
    """Standard normal noise of that shape, float32, on its device."""
    shape = like_BCHW.shape[1:]
    generators = draws.generators(purpose, len(like_BCHW))
    return torch.stack([torch.randn(shape, generator=generator) for generator in generators]).to(like_BCHW.device)


def channel_offset(latents_BCHW: Tensor, settings: ObjectiveSettings, draws: Draws) -> Tensor:
    """One normal number per sample and channel, (B, C, 1, 1), which lets a network change the mean brightness.

    With `adaptive_noise_scale` the strength grows with how far the latent's own channel mean is from 0.
    """
    strength_B111 = _strengths(
        settings.noise_offset, settings.noise_offset_random, "noise offset strength", latents_BCHW, draws
    )
    if settings.adaptive_noise_scale != 0:
        mean_BC11 = latents_BCHW.mean(dim=(2, 3), keepdim=True, dtype=torch.float32).abs()
        strength_B111 = (strength_B111 + settings.adaptive_noise_scale * mean_BC11).clamp(min=0.0)
    return strength_B111 * gaussian(latents_BCHW[:, :, :1, :1], "noise offset", draws)


def multires(noise_BCHW: Tensor, iterations: int, discount: float, draws: Draws) -> Tensor:
    """Noise plus enlarged coarser noise: level i has 1/rⁱ of the size and discountⁱ of the strength, r from 2 to 4.

    Each sample is rescaled to standard deviation 1.
    """
    generators = draws.generators("multires noise", len(noise_BCHW))
    return torch.stack(
        [
            _multires_CHW(noise_CHW, iterations, discount, generator)
            for noise_CHW, generator in zip(noise_BCHW, generators, strict=True)
        ]
    )


def _multires_CHW(noise_CHW: Tensor, iterations: int, discount: float, generator: torch.Generator) -> Tensor:
    channels, height, width = noise_CHW.shape
    total_CHW = noise_CHW
    for level in range(iterations):
        ratio = 2.0 + 2.0 * torch.rand((), generator=generator).item()
        rows, columns = max(1, int(height / ratio**level)), max(1, int(width / ratio**level))
        coarse = torch.randn(1, channels, rows, columns, generator=generator).to(noise_CHW.device)
        fine = interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
        total_CHW = total_CHW + discount**level * fine[0]
        if rows == 1 or columns == 1:
            break
    return total_CHW / total_CHW.std()


def _strengths(strength: float, is_random: bool, purpose: str, like_BCHW: Tensor, draws: Draws) -> Tensor:
    """The strength for each sample, (B, 1, 1, 1): as given, or uniform between 0 and it."""
    if not is_random:
        return torch.full((len(like_BCHW), 1, 1, 1), strength, device=like_BCHW.device)
    generators = draws.generators(purpose, len(like_BCHW))
    shares = [torch.rand(1, 1, 1, generator=generator) for generator in generators]
    return strength * torch.stack(shares).to(like_BCHW.device)
