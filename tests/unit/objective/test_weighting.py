"""Loss weights by noise level, against known facts and plain arithmetic."""

import math

import pytest
import torch
from pack.tests.unit.objective.toy import SD_ALPHAS_CUMPROD
from pack.training.objective.schedule import snr
from pack.training.objective.weighting import (
    debiased_weight,
    min_snr_weight,
    noise_like_weight,
    p2_weight,
    soft_min_snr_weight,
    velocity_like_weight,
)

RATIOS = [1e-6, 0.0047, 0.3, 1.0, 4.9, 5.1, 900.0, 5000.0]
EPSILON, VELOCITY = "epsilon", "v_prediction"

FORMULAS = {
    "min-SNR": (lambda s: min_snr_weight(s, 5.0, EPSILON), lambda s: min(s, 5.0) / s),
    "min-SNR v": (lambda s: min_snr_weight(s, 5.0, VELOCITY), lambda s: min(s, 5.0) / (s + 1)),
    "soft min-SNR": (lambda s: soft_min_snr_weight(s, 5.0, EPSILON), lambda s: (s * 5.0 / (s + 5.0)) / s),
    "soft min-SNR v": (lambda s: soft_min_snr_weight(s, 5.0, VELOCITY), lambda s: (s * 5.0 / (s + 5.0)) / (s + 1)),
    "P2": (lambda s: p2_weight(s, 0.5, EPSILON), lambda s: 1 / math.sqrt(1 + s)),
    "P2 v": (lambda s: p2_weight(s, 0.5, VELOCITY), lambda s: s / (s + 1) ** 1.5),
    "debiased": (lambda s: debiased_weight(s, EPSILON), lambda s: 1 / math.sqrt(min(max(s, 1e-4), 1000))),
    "debiased v": (lambda s: debiased_weight(s, VELOCITY), lambda s: 1 / (s + 1)),
    "noise-like": (noise_like_weight, lambda s: s / (s + 1)),
    "velocity-like": (velocity_like_weight, lambda s: (max(s, 1e-4) + 1) / max(s, 1e-4)),
}
each_formula = pytest.mark.parametrize(("weight", "formula"), FORMULAS.values(), ids=FORMULAS)


@each_formula
def test_equals_the_formula(weight, formula):
    got = weight(torch.tensor(RATIOS, dtype=torch.float64)).tolist()
    assert got == pytest.approx([formula(s) for s in RATIOS], rel=1e-9)


@each_formula
def test_is_finite_without_any_signal(weight, formula):
    assert weight(torch.zeros(1)).isfinite().all()


@pytest.mark.parametrize(("gamma", "first_full", "mean"), [(1.0, 354, 0.77), (5.0, 147, 0.92), (20.0, 50, 0.97)])
def test_known_reach_of_min_snr_on_the_sd_schedule(gamma, first_full, mean):
    weight_T = min_snr_weight(snr(SD_ALPHAS_CUMPROD), gamma, EPSILON)
    assert int((weight_T < 1).sum()) == first_full
    assert weight_T.mean().item() == pytest.approx(mean, abs=0.005)


@pytest.mark.parametrize("weight", [min_snr_weight, soft_min_snr_weight, p2_weight])
def test_both_prediction_types_weigh_the_clean_image_alike(weight):
    """A noise loss is snr times the loss of the clean image, a velocity loss snr + 1 times."""
    ratios = torch.tensor(RATIOS, dtype=torch.float64)
    torch.testing.assert_close(weight(ratios, 5.0, EPSILON) * ratios, weight(ratios, 5.0, VELOCITY) * (ratios + 1))
