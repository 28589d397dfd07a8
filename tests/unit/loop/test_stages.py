"""A plan of stages: lengths, and the stage of a step."""

import pytest
from pack.training.loop.stages import Stage, planned_stages, stage_at, stage_optimizers, stage_steps
from pack.training.optimizers import OptimizerSettings


def steps_of(stage):
    """With twelve images."""
    return stage_steps(stage, -(-12 // stage.batch_size))


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
    assert steps_of(stage) == steps


def test_every_step_belongs_to_the_stage_found_by_counting():
    plan = (Stage(steps=3), Stage(epochs=1, batch_size=12), Stage(steps=2))
    stages = planned_stages(plan, OptimizerSettings(), [steps_of(stage) for stage in plan])
    counted = [index for index, stage in enumerate(stages) for _ in range(stage.steps)]
    assert [stage_at(stages, step) for step in range(stages[-1].end)] == counted == [0, 0, 0, 1, 2, 2]
    assert [(stage.start, stage.end) for stage in stages] == [(0, 3), (3, 4), (4, 6)]
    for outside in (-1, len(counted)):
        with pytest.raises(ValueError, match=f"got {outside}"):
            stage_at(stages, outside)


def test_a_stage_without_an_optimizer_goes_on_with_the_one_before():
    run, own = OptimizerSettings(), OptimizerSettings(learning_rate=3e-5)
    plan = (Stage(steps=1), Stage(steps=1, optimizer=own), Stage(steps=1))
    assert stage_optimizers(plan, run) == (run, own, own)


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


def test_epochs_that_are_whole_steps_are_not_rounded_up():
    for tenths in range(1, 100):
        for batches in range(10, 100, 10):
            assert stage_steps(Stage(epochs=tenths / 10), batches) == tenths * batches // 10
