"""The loss of each sample of a batch, from latents and text to the number that is minimized.

Order: distance per element, mask, mean, sample weight, noise-level weight. All in float32.

Shapes: B batch, C latent channels, H W latent rows and columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..base_model import BaseModel, PredictionType, TextConditioning
from ..data.batch import Batch
from ..devices import upload
from .draws import Draws
from .loss import element_loss, huber_threshold, sample_mean
from .noised import NoisedBatch, noise_batch
from .prior import Switchable, base_prediction, captions_to_encode, kept_as_base
from .settings import ObjectiveSettings, check_prediction_type
from .weighting import (
    debiased_weight,
    min_snr_weight,
    noise_like_weight,
    p2_weight,
    soft_min_snr_weight,
    velocity_like_weight,
)

__all__ = ["Draws", "LossResult", "ObjectiveSettings", "captions_to_encode", "diffusion_loss"]


@dataclass(frozen=True, slots=True)
class LossResult:
    """Losses of a batch; the trainer takes the mean."""

    loss_B: Tensor
    """Weighted, with gradients."""
    unweighted_B: Tensor
    """Mean distance within the mask, without weights, detached."""
    timestep_B: Tensor
    """Timestep of each sample, int64, on the CPU."""
    kept: frozenset[int] = frozenset()
    """Samples whose target is the base model's own prediction."""


def diffusion_loss(
    base: BaseModel,
    network: Switchable,
    batch: Batch,
    texts: Sequence[TextConditioning],
    settings: ObjectiveSettings,
    draws: Draws,
) -> LossResult:
    """Loss of every sample of a batch, with gradients for the network.

    `texts` is the conditioning of `captions_to_encode(batch.captions, settings)`, in that order.

    Raises:
        ValueError: The settings do not fit the model.
    """
    check_prediction_type(settings, base.prediction_type)
    noised = noise_batch(base, batch.latents_BCHW, settings, draws)
    kept = kept_as_base(batch.captions, batch.is_regularization_B, settings)
    noised, weights = _uploaded(base, noised, batch, kept, settings)
    own_texts, prior_texts = texts[: len(batch.captions)], texts[len(batch.captions) :]
    prediction_BCHW = base.denoise(noised.noisy_BCHW, noised.timestep_B, own_texts, batch.sizes).float()
    target_BCHW = noised.target_BCHW
    if kept:
        target_BCHW = target_BCHW.clone()
        for index, own_CHW in zip(kept, _base_target(base, network, batch, own_texts, noised, kept), strict=True):
            target_BCHW[index] = own_CHW
    unweighted_B = _distance(prediction_BCHW, target_BCHW, settings, _inside(weights, settings))

    loss_B = unweighted_B * weights.sample_B * weights.level_B
    if settings.unmasked_prior_weight and _has_outside(batch):
        base_BCHW = base_prediction(base, network, noised, batch.captions, own_texts, batch.sizes)
        outside_B = _distance(prediction_BCHW, base_BCHW, settings, _outside(weights))
        loss_B = loss_B + settings.unmasked_prior_weight * outside_B * weights.sample_B * weights.level_B
    if settings.prior_preservation == "extra_term":
        prior_BCHW, base_BCHW = _prior_term(base, network, batch, prior_texts, settings, noised)
        prior_B = _distance(prior_BCHW, base_BCHW, settings, replace(weights, mask_B1HW=None))
        loss_B = loss_B + settings.prior_preservation_weight * prior_B * weights.level_B
    return LossResult(loss_B, unweighted_B.detach(), noised.timestep_B, frozenset(kept))


@dataclass(frozen=True, slots=True)
class _Weights:
    """The weights that turn distances into losses, on the model's device."""

    sample_B: Tensor
    level_B: Tensor
    threshold_B: Tensor
    mask_B1HW: Tensor | None


def _has_outside(batch: Batch) -> bool:
    return batch.mask_B1HW is not None and bool((batch.mask_B1HW < 1.0).any())


def _inside(weights: _Weights, settings: ObjectiveSettings) -> _Weights:
    """The mask weights, with the weight for pixels outside the masks added."""
    mask_B1HW = weights.mask_B1HW
    return weights if mask_B1HW is None else replace(weights, mask_B1HW=mask_B1HW.clamp(min=settings.unmasked_weight))


def _outside(weights: _Weights) -> _Weights:
    assert weights.mask_B1HW is not None
    return replace(weights, mask_B1HW=1.0 - weights.mask_B1HW)


def _uploaded(
    base: BaseModel, noised: NoisedBatch, batch: Batch, kept: Sequence[int], settings: ObjectiveSettings
) -> tuple[NoisedBatch, _Weights]:
    """Upload everything that the model and the loss need in one copy; timesteps stay on the CPU for the report."""
    masks = [] if batch.mask_B1HW is None else [batch.mask_B1HW]
    noisy_BCHW, target_BCHW, sample_B, level_B, threshold_B, *masks = upload(
        [
            noised.noisy_BCHW,
            noised.target_BCHW,
            sample_weight(batch, kept, settings),
            noise_level_weight(noised.snr_B, settings, base.prediction_type),
            huber_threshold(settings, noised.timestep_B, noised.alphas_cumprod_B),
            *masks,
        ],
        base.device,
    )
    weights = _Weights(sample_B, level_B, threshold_B, masks[0] if masks else None)
    return replace(noised, noisy_BCHW=noisy_BCHW, target_BCHW=target_BCHW), weights


def sample_weight(batch: Batch, kept: Sequence[int], settings: ObjectiveSettings) -> Tensor:
    """Weight of each sample, (B,): its own, times those of regularization images and of base-model targets."""
    weight_B = batch.loss_weight_B.to("cpu", torch.float32).clone()
    weight_B[batch.is_regularization_B.cpu()] *= settings.prior_loss_weight
    weight_B[list(kept)] *= settings.prior_preservation_weight
    return weight_B


def noise_level_weight(snr_B: Tensor, settings: ObjectiveSettings, prediction_type: PredictionType) -> Tensor:
    """Weight of each sample by its noise level, (B,)."""
    weight_B = torch.ones_like(snr_B)
    if settings.min_snr_gamma is not None:
        min_snr = soft_min_snr_weight if settings.soft_min_snr else min_snr_weight
        weight_B = weight_B * min_snr(snr_B, settings.min_snr_gamma, prediction_type)
    if settings.p2_gamma is not None:
        weight_B = weight_B * p2_weight(snr_B, settings.p2_gamma, prediction_type)
    if settings.scale_v_pred_loss_like_noise_pred:
        weight_B = weight_B * noise_like_weight(snr_B)
    if settings.v_pred_like_loss > 0:
        weight_B = weight_B * (1.0 + settings.v_pred_like_loss * velocity_like_weight(snr_B))
    if settings.debiased_estimation:
        weight_B = weight_B * debiased_weight(snr_B, prediction_type)
    return weight_B


def _distance(prediction_BCHW: Tensor, target_BCHW: Tensor, settings: ObjectiveSettings, weights: _Weights) -> Tensor:
    loss_BCHW = element_loss(prediction_BCHW, target_BCHW, settings, weights.threshold_B)
    return sample_mean(loss_BCHW, weights.mask_B1HW, settings.is_mask_area_normalized)


def _base_target(
    base: BaseModel,
    network: Switchable,
    batch: Batch,
    texts: Sequence[TextConditioning],
    noised: NoisedBatch,
    kept: Sequence[int],
) -> Tensor:
    captions = [batch.captions[index] for index in kept]
    sizes = [batch.sizes[index] for index in kept]
    return base_prediction(base, network, noised.select(kept), captions, [texts[index] for index in kept], sizes)


def _prior_term(
    base: BaseModel,
    network: Switchable,
    batch: Batch,
    prior_texts: Sequence[TextConditioning],
    settings: ObjectiveSettings,
    noised: NoisedBatch,
) -> tuple[Tensor, Tensor]:
    """Predictions for the captions without the trigger, (B, C, H, W): the network's and the base model's."""
    captions = captions_to_encode(batch.captions, settings)[len(batch.captions) :]
    prediction_BCHW = base.denoise(noised.noisy_BCHW, noised.timestep_B, prior_texts, batch.sizes).float()
    return prediction_BCHW, base_prediction(base, network, noised, captions, prior_texts, batch.sizes)
