"""What the judge finds within how many steps, and what it lets be."""

import math
import random
from dataclasses import dataclass, field

import pytest
from pack.training.loop.report import SampleLoss
from pack.training.watch.judge import LASTING, Judge


@dataclass
class Run:
    """Losses as latent diffusion has them: a hundredfold by timestep, heavy tails; the network's a multiple of them."""

    seed: int
    batch: int = 4
    scatter: float = 0.5
    """Of the logarithm of a sample's ratio to the base model."""
    bases: dict[int, list[float]] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    is_fresh: bool = True

    def __post_init__(self):
        self.draws = random.Random(self.seed)
        self.watch = Judge(self.measure, is_fresh=self.is_fresh)

    def measure(self, step):
        self.asked.append(step)
        return self.bases[step]

    def step(self, step, ratio, grad_norm=0.05, stage=0, is_kept=False):
        timesteps = [self.draws.randrange(1000) for _ in range(self.batch)]
        spread = [self.draws.lognormvariate(0.0, 0.8) * self.draws.paretovariate(3.0) for _ in timesteps]
        self.bases[step] = [(0.35 * math.exp(-t / 180) + 0.003) * s for t, s in zip(timesteps, spread, strict=True)]
        scatter = self.scatter if ratio != 1.0 else 0.02
        losses = [base * ratio * self.draws.lognormvariate(0.0, scatter) for base in self.bases[step]]
        samples = [SampleLoss(0, t, loss, is_kept) for t, loss in zip(timesteps, losses, strict=True)]
        return self.watch.add(step, stage, samples, grad_norm * self.draws.lognormvariate(0.0, 0.3))

    def first_excess(self, ratios, gradients=None):
        for step, ratio in enumerate(ratios, 1):
            found = self.step(step, ratio, gradients[step - 1] if gradients else 0.05)
            if found:
                return step, found
        return None


SEEDS = range(2)
LEARNING = [max(0.3, 1.0 - 0.01 * step) for step in range(600)]


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize("ratios", [LEARNING, [1.0] * 300, [1.05] * 300], ids=["learning", "nothing", "little"])
def test_a_run_that_does_no_harm_is_never_stopped(ratios, batch):
    for seed in SEEDS:
        run = Run(seed, batch)
        assert run.first_excess(ratios) is None
        assert len(run.asked) < 0.4 * len(ratios)


def test_a_run_that_learns_asks_the_base_model_about_its_beginning_alone():
    run = Run(1)
    assert run.first_excess(LEARNING) is None
    assert run.asked == [1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize(("batch", "latest"), [(1, 60), (4, 40), (16, 14)])
@pytest.mark.parametrize("ratio", [2.5, 6.0, 80.0])
def test_worse_than_none_from_the_start_is_found_at_once(ratio, batch, latest):
    for seed in SEEDS:
        step, found = Run(seed, batch, scatter=1.0).first_excess([1.0, 1.0, *[ratio] * 100])
        assert step <= latest and found.good_step <= 12 and found.best_step is None
        assert 1.2 < found.ratio < 1.5 * ratio


@pytest.mark.parametrize("batch", [1, 4])
def test_an_explosion_is_found_soon_and_the_step_before_it_named(batch):
    for seed in SEEDS:
        step, found = Run(seed, batch, scatter=1.0).first_excess([*LEARNING[:80], *[8.0] * 100])
        assert 80 < step <= 80 + 24 / batch + 10
        assert 80 - 24 / batch - 12 <= found.good_step <= 80 + 24 / batch


def test_a_rise_above_its_own_best_counts_with_growing_gradients_alone():
    rise = [0.5 * 1.06 ** max(0, step - 70) for step in range(100)]  # passes the base model at step 82
    growing = [0.05 * 1.15 ** max(0, step - 70) for step in range(100)]
    for seed in SEEDS:
        step, found = Run(seed).first_excess([*LEARNING[:50], *rise[50:]], growing)
        assert 78 < step < 96 and (found.best_step is None or found.best_step < 78)
    harmless = [min(0.9, ratio) for ratio in rise]
    assert all(Run(seed).first_excess([*LEARNING[:50], *harmless[50:]]) is None for seed in SEEDS)


def forgets(draw_ratio, num_steps):
    """Learned well, then hardly better than none, with gradients that are no higher."""
    return [max(0.2, 1.0 - 0.01 * step) for step in range(200)] + [draw_ratio] * num_steps


@pytest.mark.parametrize("batch", [1, 4, 16])
@pytest.mark.parametrize(("scatter", "samples"), [(0.5, 2.5 * LASTING), (1.0, 5 * LASTING)])
def test_what_was_learned_and_is_lost_for_long_is_found_whatever_the_gradients(batch, scatter, samples):
    for seed in SEEDS:
        step, found = Run(seed, batch, scatter).first_excess(forgets(0.95, 1200))
        assert 200 < step <= 200 + samples / batch + 24
        assert 3 < found.ratio < 12 and found.best_step <= 200 and not found.has_growing_gradients
        assert found.good_step <= 200 + 24 / batch + 6


@pytest.mark.parametrize(("ratio", "num_steps"), [(0.95, 40), (0.45, 600)], ids=["soon better again", "a little lost"])
def test_what_is_lost_for_a_while_or_a_little_is_let_be(ratio, num_steps):
    for seed in SEEDS:
        run = Run(seed)
        assert run.first_excess([*forgets(ratio, num_steps), *forgets(0.2, 200)[200:]]) is None
        assert len(run.asked) < 0.2 * (400 + num_steps)


def test_a_stage_is_judged_by_its_own_beginning():
    """Another dataset is not learned yet: its ratio is three times that of the one before."""
    for seed in SEEDS:
        run = Run(seed)
        ratios = [(0, ratio) for ratio in LEARNING[:100]] + [(1, ratio) for ratio in LEARNING[:100]]
        growing = [0.05] * 100 + [0.5] * 100
        for step, (stage, ratio) in enumerate(ratios, 1):
            assert run.step(step, ratio, growing[step - 1], stage) is None


RECOVERING = [max(0.5, 2.0 * 0.98**step) for step in range(300)]
"""A network that was trained on other images: twice as bad as none on these, at first."""


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("begins", ["from a LoRA", "in a later stage"])
def test_a_network_that_begins_worse_than_none_and_recovers_is_let_be(begins, batch):
    for seed in SEEDS:
        run = Run(seed, batch, is_fresh=begins != "from a LoRA")
        before = LEARNING[:100] if begins == "in a later stage" else []
        ratios = [*((0, ratio) for ratio in before), *((1, ratio) for ratio in RECOVERING)]
        assert all(run.step(step, ratio, stage=stage) is None for step, (stage, ratio) in enumerate(ratios, 1))


@pytest.mark.parametrize("batch", [1, 4])
@pytest.mark.parametrize("before", [[2.0] * 40, RECOVERING], ids=["held against its beginning", "recovered"])
def test_a_network_that_began_worse_than_none_and_explodes_is_found(before, batch):
    for seed in SEEDS:
        step, found = Run(seed, batch, is_fresh=False).first_excess([*before, *[8.0] * 100])
        assert len(before) < step <= len(before) + 40 and found.ratio > 2


@pytest.mark.parametrize("batch", [1, 4])
def test_a_long_run_that_explodes_keeps_what_was_saved_before(batch):
    """The best of many windows is in part the luckiest: what is a little above it is no sign that it went wrong."""
    for seed in range(6):
        healthy = [max(0.6, 1.0 - 0.001 * step) for step in range(3000 // batch)]
        step, found = Run(seed, batch, scatter=0.4).first_excess([*healthy, *[8.0] * 100])
        assert len(healthy) < step < len(healthy) + 24
        assert found.good_step > 0.95 * len(healthy)


def test_a_short_excess_ends_no_run():
    for seed in SEEDS:
        assert Run(seed).first_excess([*LEARNING[:100], 3.0, 3.0, *LEARNING[100:200]]) is None


def test_samples_kept_as_base_are_not_judged():
    run = Run(1)
    assert all(run.step(step, 1e-6 * step**2, is_kept=True) is None for step in range(1, 400))
    assert not run.asked


def test_the_same_steps_give_the_same_finding():
    first = Run(5).first_excess([*LEARNING[:60], *[5.0] * 60])
    assert first is not None and first == Run(5).first_excess([*LEARNING[:60], *[5.0] * 60])
