"""Distance of prediction and target, and its mean per sample.

huber and smooth_l1 are the pseudo-Huber forms 2c(√(d²+c²)-c) and 2(√(d²+c²)-c) with the threshold c a function of
the noise level (https://arxiv.org/abs/2403.16728).

Shapes: B batch, C latent channels, H W latent rows and columns.
"""

import torch
from torch import Tensor

from .settings import ObjectiveSettings

_NUM_TIMESTEPS = 1000.0
"""Timesteps over which the exponential schedule falls from 1 to huber_c."""


def element_loss(
    prediction_BCHW: Tensor, target_BCHW: Tensor, settings: ObjectiveSettings, threshold_B: Tensor
) -> Tensor:
    """Distance per element, (B, C, H, W); the threshold is used by huber and smooth_l1."""
    difference = prediction_BCHW - target_BCHW
    if settings.loss_type == "l2":
        return difference**2
    if settings.loss_type == "l1":
        return difference.abs()
    c = threshold_B[:, None, None, None]
    # equals √(d²+c²) - c, without canceling nearly equal numbers
    distance = 2.0 * difference**2 / ((difference**2 + c**2).sqrt() + c)
    return c * distance if settings.loss_type == "huber" else distance


def huber_threshold(settings: ObjectiveSettings, timestep_B: Tensor, alphas_cumprod_B: Tensor) -> Tensor:
    """The threshold c of each sample, (B,), by the settings' schedule.

    constant: c·scale. exponential: c^(t/1000)·scale, from 1 to c. snr: (1-c)/(1+σ)²+c, from 1 to c as noise grows.
    """
    c = settings.huber_c
    if settings.huber_schedule == "constant":
        return torch.full_like(alphas_cumprod_B, c * settings.huber_scale)
    if settings.huber_schedule == "exponential":
        return c ** (timestep_B.to(alphas_cumprod_B) / _NUM_TIMESTEPS) * settings.huber_scale
    sigma_B = ((1.0 - alphas_cumprod_B) / alphas_cumprod_B).sqrt()
    return ((1.0 - c) / (1.0 + sigma_B) ** 2 + c) * settings.huber_scale


def sample_mean(loss_BCHW: Tensor, mask_B1HW: Tensor | None, is_area_normalized: bool) -> Tensor:
    """Mean loss per sample, (B,), weighted by the mask (0..1).

    Normalized by the mask's area, a small subject counts as much as a large one. Otherwise the mean is over all
    elements, so the loss shrinks with the mask. An empty mask gives 0.
    """
    if mask_B1HW is None:
        return loss_BCHW.mean(dim=(1, 2, 3))
    masked_BCHW = loss_BCHW * mask_B1HW
    if not is_area_normalized:
        return masked_BCHW.mean(dim=(1, 2, 3))
    area_B = mask_B1HW.expand_as(loss_BCHW).sum(dim=(1, 2, 3))
    return masked_BCHW.sum(dim=(1, 2, 3)) / area_B.clamp(min=torch.finfo(area_B.dtype).tiny)
