"""Distances and their mean per sample, against plain arithmetic in double precision."""

import math

import pytest
import torch
from pack.training.objective.loss import element_loss, huber_threshold, sample_mean
from pack.training.objective.settings import ObjectiveSettings

TIMESTEPS = torch.tensor([0, 100, 500, 999])
ALPHAS = torch.tensor([0.999, 0.9, 0.3, 0.005], dtype=torch.float64)

DISTANCES = {
    "l2": lambda d, c: d * d,
    "l1": lambda d, c: abs(d),
    "huber": lambda d, c: 2 * c * (math.sqrt(d * d + c * c) - c),
    "smooth_l1": lambda d, c: 2 * (math.sqrt(d * d + c * c) - c),
}
THRESHOLDS = {
    "constant": lambda c, scale, t, alpha: c * scale,
    "exponential": lambda c, scale, t, alpha: math.exp(math.log(c) * t / 1000) * scale,
    "snr": lambda c, scale, t, alpha: ((1 - c) / (1 + math.sqrt((1 - alpha) / alpha)) ** 2 + c) * scale,
}


@pytest.mark.parametrize("loss_type", DISTANCES)
@pytest.mark.parametrize("difference", [0.0, 1e-4, -0.05, 0.7, -30.0])
def test_distance(loss_type, difference):
    prediction = torch.full((1, 1, 1, 1), 2.0 + difference, dtype=torch.float64)
    settings = ObjectiveSettings(loss_type=loss_type)
    got = element_loss(prediction, torch.full_like(prediction, 2.0), settings, torch.tensor([0.2], dtype=torch.float64))
    assert got.item() == pytest.approx(DISTANCES[loss_type](difference, 0.2), rel=1e-7, abs=1e-15)


@pytest.mark.parametrize("loss_type", ["huber", "smooth_l1"])
def test_small_differences_survive_single_precision(loss_type):
    difference = torch.full((1, 1, 1, 1), 1e-4)
    got = element_loss(difference, torch.zeros_like(difference), ObjectiveSettings(loss_type=loss_type), torch.ones(1))
    assert got.item() == pytest.approx(1e-8, rel=1e-4)


@pytest.mark.parametrize("schedule", THRESHOLDS)
def test_huber_schedules(schedule):
    settings = ObjectiveSettings(huber_schedule=schedule, huber_c=0.1, huber_scale=1.5)
    expected = [
        THRESHOLDS[schedule](0.1, 1.5, t, alpha) for t, alpha in zip(TIMESTEPS.tolist(), ALPHAS.tolist(), strict=True)
    ]
    assert huber_threshold(settings, TIMESTEPS, ALPHAS).tolist() == pytest.approx(expected, rel=1e-9)


def test_snr_schedule_ends_at_the_threshold_in_pure_noise():
    settings = ObjectiveSettings(huber_schedule="snr", huber_c=0.1)
    assert huber_threshold(settings, torch.tensor([999]), torch.zeros(1)).item() == pytest.approx(0.1)


def test_each_sample_has_its_own_threshold():
    difference = torch.ones(2, 3, 2, 2)
    settings = ObjectiveSettings(loss_type="huber")
    both = element_loss(difference, torch.zeros_like(difference), settings, torch.tensor([0.1, 0.9]))
    for index, threshold in enumerate((0.1, 0.9)):
        one = element_loss(difference[:1], torch.zeros(1, 3, 2, 2), settings, torch.tensor([threshold]))
        torch.testing.assert_close(both[index : index + 1], one)


def test_mean_is_the_plain_one_without_a_mask():
    loss = torch.rand(3, 4, 5, 6)
    assert sample_mean(loss, None, True).tolist() == pytest.approx([sample.mean().item() for sample in loss])


def test_mask_takes_the_mean_of_what_it_shows_whatever_its_size():
    loss = torch.full((2, 4, 8, 8), 9.0)
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, :2, :2] = 1
    mask[1, :, :, :6] = 1
    loss[0, :, :2, :2] = 3.0
    loss[1, :, :, :6] = 5.0
    assert sample_mean(loss, mask, True).tolist() == pytest.approx([3.0, 5.0])
    assert sample_mean(loss, mask, False).tolist() == pytest.approx([3.0 * 4 / 64, 5.0 * 48 / 64])


def test_partial_mask_weighs():
    loss = torch.tensor([2.0, 8.0]).view(1, 1, 1, 2)
    mask = torch.tensor([1.0, 0.5]).view(1, 1, 1, 2)
    assert sample_mean(loss, mask, True).item() == pytest.approx((2 + 4) / 1.5)


def test_empty_mask_gives_nothing_and_no_gradient():
    prediction = torch.ones(1, 4, 2, 2, requires_grad=True)
    mean = sample_mean(prediction**2, torch.zeros(1, 1, 2, 2), True)
    mean.sum().backward()
    assert mean.item() == 0
    assert torch.equal(prediction.grad, torch.zeros_like(prediction))
