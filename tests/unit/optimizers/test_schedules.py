"""Schedules against the tables of the field and against transformers."""

import math

import pytest
import torch
from pack.training.optimizers import SCHEDULES, ScheduleSettings, schedule_multiplier
from transformers import get_scheduler

TABLE = {  # factor at 25, 50, 75 and 100 % of 100 steps without warmup
    "constant": (ScheduleSettings(), (1, 1, 1, 1)),
    "linear": (ScheduleSettings(schedule="linear"), (0.75, 0.5, 0.25, 0)),
    "cosine": (ScheduleSettings(schedule="cosine"), (0.85, 0.5, 0.15, 0)),
    "restarts": (ScheduleSettings(schedule="cosine_with_restarts", cycles=3), (0.15, 0.5, 0.85, 0)),
    "polynomial": (ScheduleSettings(schedule="polynomial", power=2), (0.56, 0.25, 0.06, 0)),
    "cosine with minimum": (ScheduleSettings(schedule="cosine", min_ratio=0.1), (0.87, 0.55, 0.23, 0.1)),
    "logarithmic": (
        ScheduleSettings(schedule="logarithmic"),
        tuple(1 - math.log(1 + 9 * x) / math.log(10) for x in (0.25, 0.5, 0.75, 1)),
    ),
    "rex": (ScheduleSettings(schedule="rex"), (6 / 7, 2 / 3, 0.4, 0)),
}


@pytest.mark.parametrize(("schedule", "factors"), TABLE.values(), ids=TABLE)
def test_known_factors(schedule, factors):
    assert [schedule_multiplier(schedule, step, 100) for step in (25, 50, 75, 100)] == pytest.approx(factors, abs=0.006)


REFERENCES = {
    "constant": (ScheduleSettings(warmup_steps=10), "constant_with_warmup", {}),
    "linear": (ScheduleSettings(schedule="linear", warmup_steps=10), "linear", {}),
    "cosine": (ScheduleSettings(schedule="cosine", warmup_steps=10), "cosine", {}),
    "restarts": (
        ScheduleSettings(schedule="cosine_with_restarts", warmup_steps=10, cycles=3),
        "cosine_with_restarts",
        {"num_cycles": 3},
    ),
    "polynomial": (
        ScheduleSettings(schedule="polynomial", warmup_steps=10, power=3, min_ratio=0.05),
        "polynomial",
        {"power": 3, "lr_end": 0.05},
    ),
    "inverse sqrt": (ScheduleSettings(schedule="inverse_sqrt", warmup_steps=10), "inverse_sqrt", {}),
    "inverse sqrt with timescale": (
        ScheduleSettings(schedule="inverse_sqrt", warmup_steps=10, timescale=25),
        "inverse_sqrt",
        {"timescale": 25},
    ),
    "cosine with minimum": (
        ScheduleSettings(schedule="cosine", warmup_steps=10, min_ratio=0.2),
        "cosine_with_min_lr",
        {"min_lr_rate": 0.2},
    ),
    "warmup stable decay": (
        ScheduleSettings(schedule="warmup_stable_decay", warmup_steps=10, decay_steps=30),
        "warmup_stable_decay",
        {"num_decay_steps": 30, "decay_type": "cosine"},
    ),
    "warmup stable decay with minimum": (
        ScheduleSettings(
            schedule="warmup_stable_decay", warmup_steps=10, warmup_from_min=True, decay_steps=30, min_ratio=0.1
        ),
        "warmup_stable_decay",
        {"num_decay_steps": 30, "decay_type": "cosine", "min_lr_ratio": 0.1},
    ),
}


@pytest.mark.parametrize(("schedule", "name", "specific"), REFERENCES.values(), ids=REFERENCES)
def test_every_step_equals_transformers(schedule, name, specific):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    reference = get_scheduler(name, optimizer, int(schedule.warmup_steps), 120, scheduler_specific_kwargs=specific)
    for step in range(120):
        assert schedule_multiplier(schedule, step, 120) == pytest.approx(reference.get_last_lr()[0], abs=1e-6), step
        optimizer.step()
        reference.step()


@pytest.mark.parametrize("name", SCHEDULES)
def test_shares_equal_steps_and_all_stay_within_bounds(name):
    shares = ScheduleSettings(schedule=name, warmup_steps=0.1, decay_steps=0.25, min_ratio=0.05)
    steps = ScheduleSettings(schedule=name, warmup_steps=20, decay_steps=50, min_ratio=0.05)
    factors = [schedule_multiplier(shares, step, 200) for step in range(200)]
    assert factors == [schedule_multiplier(steps, step, 200) for step in range(200)]
    assert factors[0] == 0
    assert max(factors) == pytest.approx(1.0)
    assert all(0.05 <= factor <= 1 for factor in factors[20:])


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"schedule": "zigzag"}, "schedule must be one of constant, .*'zigzag'"),
        ({"warmup_steps": -1}, "warmup_steps"),
        ({"decay_steps": -0.1}, "decay_steps"),
        ({"cycles": 0}, "cycles"),
        ({"power": 0}, "power"),
        ({"min_ratio": 1.5}, "min_ratio"),
        ({"timescale": -1}, "timescale"),
    ],
)
def test_bad_values_are_refused_by_name(fields, name):
    with pytest.raises(ValueError, match=name):
        ScheduleSettings(**fields)


def test_a_decay_that_would_begin_within_the_warmup_begins_after_it():
    schedule = ScheduleSettings(schedule="warmup_stable_decay", warmup_steps=0.5, decay_steps=80)
    factors = [schedule_multiplier(schedule, step, 100) for step in range(101)]
    assert factors[50] == max(factors) == 1.0
    assert factors[100] == 0.0 and factors[50:] == sorted(factors[50:], reverse=True)
