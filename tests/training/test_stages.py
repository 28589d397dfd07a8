"""A plan of stages: lengths, the stage of a step, and the curve of its rate."""

import pytest
from pack.training.optimizers import OptimizerSettings, ScheduleSettings
from pack.training.stages import Stage, locate, plan_curve, stage_optimizers, stage_steps, total_steps


def twelve_images(stage):
    return -(-12 // stage.batch_size)


@pytest.mark.parametrize(
    ("stage", "steps"),
    [
        (Stage(steps=7), 7),
        (Stage(steps=7, epochs=3), 7),
        (Stage(), 120),
        (Stage(epochs=2), 24),
        (Stage(epochs=2, batch_size=5), 6),
        (Stage(epochs=2, batch_size=5, grad_accumulation_steps=4), 2),
        (Stage(epochs=0.25), 3),
        (Stage(epochs=0.001), 1),
    ],
)
def test_length_of_a_stage(stage, steps):
    assert stage_steps(stage, twelve_images) == steps


def test_every_step_belongs_to_the_stage_found_by_counting():
    plan = (Stage(steps=3), Stage(epochs=1, batch_size=12), Stage(steps=2))
    lengths = [stage_steps(stage, twelve_images) for stage in plan]
    counted = [(index, step, length) for index, length in enumerate(lengths) for step in range(length)]
    found = [locate(lengths, step) for step in range(total_steps(plan, twelve_images))]
    assert [(place.index, place.step, place.total_steps) for place in found] == counted
    for outside in (-1, len(counted)):
        with pytest.raises(ValueError, match=f"got {outside}"):
            locate(lengths, outside)


def test_a_stage_without_an_optimizer_goes_on_with_the_one_before():
    run, own = OptimizerSettings(), OptimizerSettings(learning_rate=3e-5)
    plan = (Stage(steps=1), Stage(steps=1, optimizer=own), Stage(steps=1))
    assert stage_optimizers(plan, run) == (run, own, own)


def test_curve_of_linear_then_a_little_cosine():
    linear = OptimizerSettings(learning_rate=2e-4, schedule=ScheduleSettings(schedule="linear"))
    cosine = OptimizerSettings(learning_rate=1e-4, schedule=ScheduleSettings(schedule="cosine"))
    curve = plan_curve((Stage(steps=4), Stage(steps=2, optimizer=cosine)), linear, twelve_images)
    assert curve == pytest.approx([2e-4, 1.5e-4, 1e-4, 0.5e-4, 1e-4, 0.5e-4])


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"steps": 0}, "steps"),
        ({"epochs": 0}, "epochs"),
        ({"steps": 1, "batch_size": 0}, "batch_size"),
        ({"steps": 1, "grad_accumulation_steps": 0}, "grad_accumulation_steps"),
        ({"steps": 1, "resolution": 8}, "resolution"),
    ],
)
def test_bad_values_are_refused_by_name(fields, name):
    with pytest.raises(ValueError, match=name):
        Stage(**fields)
