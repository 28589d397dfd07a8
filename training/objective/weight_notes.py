"""Weights of the loss that do nothing or leave nothing, in words: said before training, for the loss does not show it.

Shapes: T timesteps.
"""

from collections.abc import Iterator, Mapping
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from ..base_model import PredictionType
from ..data.dataset import Dataset
from .objective import noise_level_weight
from .schedule import NO_SIGNAL, snr, zero_terminal_snr
from .settings import ObjectiveSettings

OFF: Mapping[str, Mapping[str, Any]] = {
    "min_snr_gamma": {"min_snr_gamma": None, "soft_min_snr": False},
    "p2_gamma": {"p2_gamma": None},
    "scale_v_pred_loss_like_noise_pred": {"scale_v_pred_loss_like_noise_pred": False},
    "v_pred_like_loss": {"v_pred_like_loss": 0.0},
    "debiased_estimation": {"debiased_estimation": False},
}
"""Every weight by noise level, and the settings without it."""
ALIKE = 0.01
"""Weights that differ by less over all trained timesteps are the same weight."""
LITTLE = 0.01
"""A mean weight below this leaves a loss that trains next to nothing at a usual learning rate."""


def weight_notes(
    settings: ObjectiveSettings, prediction_type: PredictionType, alphas_cumprod_T: Tensor, dataset: Dataset
) -> list[str]:
    """A line for each weight that is set and has no effect, cancels another, or leaves next to nothing of the loss."""
    return [
        *_schedule_notes(settings, prediction_type, alphas_cumprod_T),
        *_level_notes(settings, prediction_type, alphas_cumprod_T),
        *_sample_notes(settings, dataset),
        *_mask_notes(settings, dataset),
    ]


def _schedule_notes(
    settings: ObjectiveSettings, prediction_type: PredictionType, alphas_cumprod_T: Tensor
) -> Iterator[str]:
    if settings.zero_terminal_snr and prediction_type == "v_prediction" and alphas_cumprod_T[-1] > NO_SIGNAL:
        yield (
            "zero_terminal_snr trains up to pure noise, but this model is sampled from less: turn zsnr on at "
            "ModelSamplingDiscrete if it was trained so, else turn zero_terminal_snr off"
        )


def _level_notes(
    settings: ObjectiveSettings, prediction_type: PredictionType, alphas_cumprod_T: Tensor
) -> Iterator[str]:
    alphas_T = zero_terminal_snr(alphas_cumprod_T) if settings.zero_terminal_snr else alphas_cumprod_T
    snr_T = snr(alphas_T)[settings.min_timestep : settings.max_timestep]

    def weight_of(some: ObjectiveSettings) -> Tensor:
        return noise_level_weight(snr_T, some, prediction_type)

    weight_T = weight_of(settings)
    active = [name for name, off in OFF.items() if any(getattr(settings, one) != value for one, value in off.items())]
    idle = [name for name in active if _is_flat(weight_T / weight_of(replace(settings, **OFF[name])))]
    span, left = f"timesteps {settings.min_timestep} to {settings.max_timestep}", float(weight_T.mean())
    yield from (f"{name} has no effect: it weighs {span} alike" for name in idle)
    if _is_flat(weight_T) and idle != active:
        yield f"{' and '.join(active)} cancel each other: {span} count alike"
    if left < LITTLE:
        yield (
            f"{' times '.join(active)} leaves {left:.2g} of the loss, which trains next to nothing at a usual learning "
            "rate; turn one off"
        )


def _is_flat(weight_T: Tensor) -> bool:
    return bool(weight_T.max() <= (1 + ALIKE) * weight_T.min()) and bool(torch.isfinite(weight_T).all())


def _sample_notes(settings: ObjectiveSettings, dataset: Dataset) -> Iterator[str]:
    has_regularization = any(subset.is_regularization for subset in dataset.subsets)
    if has_regularization and settings.prior_loss_weight == 0:
        yield "prior_loss_weight 0: regularization images are trained without any weight and cost half of the steps"
    if settings.prior_preservation != "off" and settings.prior_preservation_weight == 0:
        yield f"prior_preservation_weight 0: prior_preservation {settings.prior_preservation} has no effect"
    if settings.prior_preservation == "regularization_images" and not has_regularization:
        yield "prior_preservation regularization_images has no effect: there are none in the dataset"
    silent = [subset.name for subset in dataset.subsets if subset.loss_weight == 0]
    if silent:
        yield f"loss_weight 0: nothing is learned from {', '.join(silent)}"


def _mask_notes(settings: ObjectiveSettings, dataset: Dataset) -> Iterator[str]:
    is_masked = any(
        item.mask is not None or subset.buckets.use_alpha_masks for subset in dataset.subsets for item in subset.items
    )
    if is_masked and settings.unmasked_weight == 1:
        yield "unmasked_weight 1: what is outside the masks counts as much as inside, so masks have no effect"
    usual = {one.name: one.default for one in fields(settings)}
    of_masks = [
        name for name in ("unmasked_weight", "unmasked_prior_weight", "is_mask_area_normalized")
        if getattr(settings, name) != usual[name]
    ]  # fmt: skip
    if of_masks and not is_masked:
        yield f"{', '.join(of_masks)} has no effect: the dataset has no masks"
