"""Optimizer, objective and stage nodes: what they hold is what the settings say."""

import importlib

import pytest
import torch

pytestmark = pytest.mark.comfy


@pytest.fixture
def run(comfy):
    """Executes a node of ours with the defaults of its required inputs and the given values."""

    def execute(topic, name, *, everything=False, **values):
        node = getattr(importlib.import_module(f"pack.nodes.{topic}"), name)
        inputs = [item for item in node.define_schema().inputs if getattr(item, "default", None) is not None]
        chosen = {item.id: item.default for item in inputs if everything or not item.optional}
        return node.execute(**{**chosen, **values}).args[0]

    return execute


@pytest.mark.parametrize("everything", [False, True])
def test_defaults_are_those_of_the_settings(run, everything):
    from pack.training.loop.stages import Stage
    from pack.training.objective.settings import ObjectiveSettings
    from pack.training.optimizers import OptimizerSettings

    assert run("training.optimizer", "BakeryOptimizer", everything=everything) == OptimizerSettings()
    assert run("training.objective", "BakeryObjective", everything=everything) == ObjectiveSettings()
    assert run("training.stage", "BakeryStage", everything=everything) == (Stage(),)


def test_every_field_of_the_settings_has_an_input(comfy):
    from dataclasses import fields

    from pack.nodes.training.objective import BakeryObjective
    from pack.nodes.training.optimizer import BakeryOptimizer
    from pack.nodes.training.stage import BakeryStage
    from pack.training.loop.stages import Stage
    from pack.training.objective.settings import ObjectiveSettings
    from pack.training.optimizers import OptimizerSettings, ScheduleSettings

    for node, *settings in (
        (BakeryOptimizer, OptimizerSettings, ScheduleSettings),
        (BakeryObjective, ObjectiveSettings),
        (BakeryStage, Stage),
    ):
        wanted = {field.name for kind in settings for field in fields(kind)}
        assert wanted - {item.id for item in node.define_schema().inputs} == set()


def test_optimizer_rates_schedule_and_other_names(run):
    settings = run(
        "training.optimizer", "BakeryOptimizer", unet_lr=3e-4, text_encoder_lr=0.0, schedule="cosine", warmup_steps=0.1,
        other_optimizer=" ademamix ",
    )  # fmt: skip
    assert (settings.optimizer, settings.unet_lr, settings.text_encoder_lr) == ("ademamix", 3e-4, 0.0)
    assert (settings.schedule.schedule, settings.schedule.warmup_steps) == ("cosine", 0.1)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"optimizer": "Prodigy"}, "learning_rate must be .* use 1"),
        ({"arguments": "nonsense=1"}, "does not take nonsense"),
        ({"other_optimizer": "Gradient"}, "optimizer must be one of"),
    ],
)
def test_what_cannot_work_is_said_by_the_optimizer_node_itself(run, values, message):
    with pytest.raises(ValueError, match=message):
        run("training.optimizer", "BakeryOptimizer", **values)


def test_zero_turns_weightings_off(run):
    settings = run("training.objective", "BakeryObjective", min_snr_gamma=0.0, p2_gamma=1.0)
    assert (settings.min_snr_gamma, settings.p2_gamma) == (None, 1.0)


def test_stages_are_chained(run):
    optimizer = run("training.optimizer", "BakeryOptimizer")
    first = run("training.stage", "BakeryStage", steps=50, optimizer=optimizer)
    images = run(
        "dataset.datasets", "BakeryImagesToDataset", images=[torch.zeros(1, 64, 64, 3)], captions=["a"], repeats=[1]
    )
    plan = run("training.stage", "BakeryStage", stages=first, epochs=2.0, resolution=768, dataset=images)
    assert [(stage.steps, stage.epochs, stage.resolution) for stage in plan] == [(50, 10.0, None), (None, 2.0, 768)]
    assert [stage.optimizer for stage in plan] == [optimizer, None]
    assert [stage.dataset for stage in plan] == [None, images]
