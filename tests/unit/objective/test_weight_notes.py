"""Weights of the loss that do nothing are named before training; those that do something are not."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import toy_dataset
from pack.training.data.dataset import Dataset
from pack.training.objective.schedule import zero_terminal_snr
from pack.training.objective.settings import ObjectiveSettings
from pack.training.objective.weight_notes import weight_notes

ALPHAS = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
"""The schedule of SD1.5 and SDXL."""


def notes(prediction="epsilon", dataset=None, **settings):
    return weight_notes(ObjectiveSettings(**settings), prediction, ALPHAS, dataset or toy_dataset())


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"min_snr_gamma": 1.0},
        {"min_snr_gamma": 5.0, "soft_min_snr": True},
        {"min_snr_gamma": 5.0, "debiased_estimation": True},
        {"min_snr_gamma": None, "p2_gamma": 1.0},
        {"min_timestep": 300, "min_snr_gamma": 1.0},
    ],
)
def test_usual_weights_are_not_spoken_of(prediction, settings):
    assert notes(prediction, **settings) == []


@pytest.mark.parametrize(
    ("prediction", "settings", "name"),
    [
        ("epsilon", {"min_snr_gamma": 5.0, "min_timestep": 500}, "min_snr_gamma"),
        ("epsilon", {"min_snr_gamma": 1e7}, "min_snr_gamma"),
        ("epsilon", {"min_snr_gamma": None, "p2_gamma": 1e-4}, "p2_gamma"),
        ("epsilon", {"min_snr_gamma": None, "debiased_estimation": True, "max_timestep": 1}, "debiased_estimation"),
        ("v_prediction", {"min_snr_gamma": None, "scale_v_pred_loss_like_noise_pred": True, "max_timestep": 8},
         "scale_v_pred_loss_like_noise_pred"),
    ],
)  # fmt: skip
def test_a_weight_that_is_the_same_everywhere_is_named(prediction, settings, name):
    (note,) = notes(prediction, **settings)
    assert note.startswith(f"{name} has no effect")


def test_training_up_to_pure_noise_that_sampling_never_starts_from_is_named():
    settings = ObjectiveSettings(zero_terminal_snr=True)
    (note,) = weight_notes(settings, "v_prediction", ALPHAS, toy_dataset())
    assert "zero_terminal_snr" in note and "zsnr" in note
    sampled = zero_terminal_snr(ALPHAS)
    for last in (0.0, 4.8973451890853435e-08):  # the host's own, which divides by it
        sampled[-1] = last
        assert weight_notes(settings, "v_prediction", sampled, toy_dataset()) == []


def test_two_that_cancel_are_named():
    """Around an SNR of 1 one rises as the other falls: snr / (snr + 1) times 1 / (snr + 1)."""
    snr = ALPHAS / (1 - ALPHAS)
    first, end = int((snr > 1.2).sum()), int((snr > 1 / 1.2).sum())
    settings = {"min_snr_gamma": None, "debiased_estimation": True, "scale_v_pred_loss_like_noise_pred": True}
    (note,) = notes("v_prediction", **settings, min_timestep=first, max_timestep=end)
    assert "scale_v_pred_loss_like_noise_pred and debiased_estimation cancel" in note
    assert notes("v_prediction", **settings) == [], "they do not over all timesteps"


def test_weights_that_leave_next_to_nothing_are_named():
    (note,) = notes("v_prediction", min_snr_gamma=None, debiased_estimation=True, max_timestep=15,
                    scale_v_pred_loss_like_noise_pred=True)  # fmt: skip
    assert "leaves" in note and "debiased_estimation" in note


def regularized(**changes):
    dataset = toy_dataset()
    (subset,) = dataset.subsets
    return Dataset((subset, replace(subset, is_regularization=True, name="others", **changes)))


@pytest.mark.parametrize(
    ("dataset", "settings", "name"),
    [
        (regularized(), {"prior_loss_weight": 0.0}, "prior_loss_weight 0"),
        (regularized(loss_weight=0.0), {}, "loss_weight 0: nothing is learned from others"),
        (toy_dataset(), {"prior_preservation": "regularization_images"}, "regularization_images has no effect"),
        (toy_dataset(), {"prior_preservation": "extra_term", "trigger": "mia", "prior_preservation_weight": 0.0},
         "prior_preservation_weight 0"),
        (toy_dataset(), {"unmasked_weight": 0.2, "is_mask_area_normalized": False}, "unmasked_weight, is_mask"),
    ],
)  # fmt: skip
def test_weights_of_samples_that_do_nothing_are_named(dataset, settings, name):
    (note,) = notes(dataset=dataset, **settings)
    assert name in note


def test_masks_that_do_nothing_are_named():
    dataset = toy_dataset()
    (subset,) = dataset.subsets
    masked = Dataset((replace(subset, buckets=replace(subset.buckets, use_alpha_masks=True)),))
    (note,) = notes(dataset=masked, unmasked_weight=1.0)
    assert "masks have no effect" in note
    assert notes(dataset=masked, unmasked_weight=0.5, unmasked_prior_weight=0.5) == []
