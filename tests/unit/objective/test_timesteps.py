"""Timesteps: within the range, distributed as promised, the same for a sample wherever it stands."""

import math

import pytest
import torch
from pack.training.objective.draws import Draws
from pack.training.objective.settings import ObjectiveSettings
from pack.training.objective.timesteps import draw_timesteps

DISTRIBUTIONS = ("uniform", "logit_normal", "low_discrepancy")
each_distribution = pytest.mark.parametrize("name", DISTRIBUTIONS)


def drawn(settings, steps, batch_size=1, micro_steps=1):
    return torch.cat(
        [
            draw_timesteps(settings, Draws(seed=4, step=step, micro_step=micro), batch_size, 1000)
            for step in range(steps)
            for micro in range(micro_steps)
        ]
    )


def discrepancy(values):
    """Largest gap between the share of draws below a point and the share expected there."""
    ordered = values.double().sort().values / 1000
    expected = torch.arange(1, len(ordered) + 1, dtype=torch.float64) / len(ordered)
    return (ordered - expected).abs().max().item()


@each_distribution
def test_only_and_all_of_the_range_is_drawn(name):
    settings = ObjectiveSettings(timestep_distribution=name, min_timestep=200, max_timestep=210)
    values = drawn(settings, 200, batch_size=2)
    assert values.dtype == torch.int64
    assert set(values.tolist()) == set(range(200, 210))


@each_distribution
def test_a_batch_draws_what_single_samples_draw(name):
    settings = ObjectiveSettings(timestep_distribution=name)
    whole = draw_timesteps(settings, Draws(seed=1, step=3, micro_step=1), 5, 1000)
    first = draw_timesteps(settings, Draws(seed=1, step=3, micro_step=1), 2, 1000)
    second = draw_timesteps(settings, Draws(seed=1, step=3, micro_step=1, sample_offset=2), 3, 1000)
    assert torch.equal(whole, torch.cat([first, second]))


@each_distribution
def test_each_seed_has_levels_of_its_own(name):
    settings = ObjectiveSettings(timestep_distribution=name)
    one, other = (draw_timesteps(settings, Draws(seed=seed, step=3), 5, 1000) for seed in (1, 2))
    assert not torch.equal(one, other)


def test_uniform():
    values = drawn(ObjectiveSettings(), 500, batch_size=4)
    assert discrepancy(values) < 1.95 / math.sqrt(2000)  # Kolmogorov-Smirnov at one in a thousand


@pytest.mark.parametrize(("mean", "std"), [(0.0, 1.0), (-1.0, 0.5)])
def test_logit_normal_has_its_cumulative_distribution(mean, std):
    settings = ObjectiveSettings(timestep_distribution="logit_normal", logit_mean=mean, logit_std=std)
    values = drawn(settings, 500, batch_size=4)
    for timestep in (100, 300, 500, 800):
        logit = math.log(timestep / (1000 - timestep))
        below = 0.5 * (1 + math.erf((logit - mean) / std / math.sqrt(2)))
        assert (values < timestep).double().mean().item() == pytest.approx(below, abs=0.04)


@pytest.mark.parametrize(("batch_size", "micro_steps"), [(1, 1), (4, 1), (2, 2), (3, 1)])
def test_low_discrepancy_covers_the_levels_evenly_at_any_time(batch_size, micro_steps):
    settings = ObjectiveSettings(timestep_distribution="low_discrepancy")
    for steps in (16, 64):
        values = drawn(settings, steps, batch_size, micro_steps)
        assert discrepancy(values) < 0.5 / math.sqrt(len(values))


def test_samples_of_one_low_discrepancy_batch_lie_apart():
    settings = ObjectiveSettings(timestep_distribution="low_discrepancy")
    for step in range(20):
        ordered = draw_timesteps(settings, Draws(seed=9, step=step), 4, 1000).sort().values
        gaps = torch.cat([ordered[1:] - ordered[:-1], ordered[:1] + 1000 - ordered[-1:]])
        assert gaps.min() >= 249


def test_fixed_timestep_for_validation():
    draws = Draws(seed=0, step=0, timestep=600)
    assert draw_timesteps(ObjectiveSettings(), draws, 3, 1000).tolist() == [600, 600, 600]


def test_a_range_beyond_the_schedule_is_refused():
    with pytest.raises(ValueError, match="max_timestep.*500.*1000"):
        draw_timesteps(ObjectiveSettings(), Draws(seed=0, step=0), 1, 500)
