"""The guard against exploding runs: blind to a noisy loss, however its tail, and not to an explosion."""

import math
import random

import pytest
from pack.training.divergence import FACTOR, DivergenceGuard, LossWatch
from pack.training.job import TrainingDiverged
from pack.training.report import SampleLoss, StepReport
from pack.training.run.metrics import append_metrics


def sample_of(draws: random.Random, factor: float = 1.0) -> SampleLoss:
    """A loss as latent diffusion has it: a hundredfold by timestep, with heavy tails at each."""
    timestep = draws.randrange(1000)
    mean = 0.35 * math.exp(-timestep / 180) + 0.003
    spread = draws.lognormvariate(0.0, 0.8) * draws.paretovariate(3.0)
    return SampleLoss(0, timestep, factor * mean * spread)


def report_of(step: int, *samples: SampleLoss) -> StepReport:
    return StepReport(
        step=step, total_steps=3000, stage=0, epoch=0, loss=0.0, unweighted_loss=0.0, grad_norm=1.0,
        learning_rates={"unet": 0.01}, samples=samples, seconds=0.1,
    )  # fmt: skip


def guard_of(path) -> DivergenceGuard:
    guard = DivergenceGuard(path)
    guard.on_start(None, None)
    return guard


def test_a_heavy_tailed_loss_is_never_near_an_excess():
    for seed in range(20):
        draws, watch, ratios = random.Random(seed), LossWatch(), []
        for _ in range(3000):
            sample = sample_of(draws)
            watch.add(sample.timestep, sample.loss)
            ratios.append(watch.ratio)
        assert max(ratios) < 0.8 * FACTOR


@pytest.mark.parametrize("begin", [150, 400, 2500])
@pytest.mark.parametrize("factor", [6.0, 30.0, 1e4])
def test_an_explosion_is_told_with_the_rate(factor, begin, tmp_path):
    draws, guard = random.Random(begin), guard_of(tmp_path / "metrics")
    for step in range(1, begin + 1):
        guard.on_step(None, None, report_of(step, sample_of(draws)))
    with pytest.raises(
        TrainingDiverged, match=r"the last 200 samples is .* times .* rate \(0.01\) .* lower it 3-10 times"
    ):
        for step in range(begin + 1, begin + 601):
            guard.on_step(None, None, report_of(step, sample_of(draws, factor)))


def test_a_short_excess_and_single_outliers_end_no_run(tmp_path):
    draws, guard = random.Random(1), guard_of(tmp_path / "metrics")
    for step in range(1, 2001):
        factor = 100.0 if 800 <= step < 860 else 1e6 if step % 50 == 0 else 1.0
        guard.on_step(None, None, report_of(step, sample_of(draws, factor)))


def test_samples_kept_as_base_are_not_judged(tmp_path):
    """Their loss begins at nothing and grows a millionfold in a good run."""
    draws, guard = random.Random(2), guard_of(tmp_path / "metrics")
    for step in range(1, 1001):
        kept = SampleLoss(1, draws.randrange(1000), 1e-6 * step**2, is_kept=True)
        guard.on_step(None, None, report_of(step, kept if step % 20 else sample_of(draws)))


def stopped_at(path, stops: int | None) -> int:
    """Step at which a run that explodes at step 500 is ended, interrupted once before."""
    draws, guard = random.Random(3), guard_of(path)
    for step in range(1, 3000):
        report = report_of(step, sample_of(draws, 8.0 if step > 500 else 1.0))
        try:
            guard.on_step(None, None, report)
        except TrainingDiverged:
            return step
        append_metrics(path, report)
        if step == stops:
            guard = guard_of(path)
    return 0


def test_a_run_that_goes_on_is_judged_as_if_it_had_never_stopped(tmp_path):
    whole = stopped_at(tmp_path / "whole", None)
    assert 500 < whole < 900
    for stops in (90, 480, whole - 60, whole - 1):
        assert stopped_at(tmp_path / str(stops), stops) == whole
