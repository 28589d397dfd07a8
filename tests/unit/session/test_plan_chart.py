"""The curve of a plan drawn before training is the one that training follows."""

from dataclasses import replace

import pytest
from pack.tests.support.toy_model import ToyBase, other_dataset, run, toy_dataset, toy_request
from pack.training.drawing.paper import COLORS
from pack.training.loop.job import Callback
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.optimizers import OptimizerSettings, ScheduleSettings
from pack.training.session.plan_chart import describe_plan, draw_plan, plan_before_training, planned_rate

LINEAR = OptimizerSettings(learning_rate=2e-3, text_encoder_lr=5e-4, schedule=ScheduleSettings(schedule="linear"))
COSINE = OptimizerSettings(
    learning_rate=1e-3, unet_lr=0.0, schedule=ScheduleSettings(schedule="cosine", warmup_steps=2, min_ratio=0.1)
)
PRODIGY = OptimizerSettings(optimizer="Prodigy", learning_rate=1.0)
OWN_RATE = OptimizerSettings(optimizer="Adafactor", arguments="relative_step=True")
PLAN = (
    Stage(epochs=2, batch_size=2, optimizer=LINEAR),
    Stage(epochs=1, dataset=other_dataset(), optimizer=COSINE),
    Stage(steps=4),
)


class Rates(Callback):
    """Callback that keeps the rates of every step."""

    def __init__(self):
        self.rates = []

    def on_step(self, job, state, report):
        self.rates.append(report.learning_rates)


def test_every_step_has_the_rates_that_were_planned(tmp_path, monkeypatch):
    """Lengths in epochs of the run's images and of a stage's own, warmup, a frozen part."""
    monkeypatch.setattr("os.fsync", lambda descriptor: None)
    heard = Rates()
    network = NetworkSettings(rank=2, parts=("unet", "text_encoder"))
    run(toy_request(tmp_path, base=ToyBase(), stages=PLAN, network=network), heard)
    planned = plan_before_training(PLAN, OptimizerSettings(), toy_dataset(), "sd15")
    expected = [
        {part: planned_rate(stage, part, step) for part in ("unet", "text_encoder")}
        for stage in planned
        for step in range(stage.steps)
    ]
    assert len(heard.rates) == len(expected) == 6 + 3 + 4
    for trained, wanted in zip(heard.rates, expected, strict=True):
        assert trained == pytest.approx({part: wanted[part] for part in trained})
        assert all(wanted[part] == 0 for part in wanted.keys() - trained.keys())


def test_words_say_lengths_rates_and_what_is_not_known_yet():
    plan = (*PLAN, Stage(steps=10, optimizer=PRODIGY), Stage(steps=5, optimizer=OWN_RATE))
    text = describe_plan(plan_before_training(plan, OptimizerSettings(), toy_dataset(), "sd15"))
    assert text.splitlines() == [
        "28 steps in 5 stages",
        "stage 1: steps 1 to 6, 2 images a step, AdamW, linear: U-Net 0.002 to 0.000333; "
        "text encoders, where the network has them 0.0005 to 8.33e-05",
        "stage 2: steps 7 to 9, 1 image a step, AdamW, cosine: U-Net not trained; "
        "text encoders, where the network has them 0 to 0.001",
        "stage 3: steps 10 to 13, 1 image a step, AdamW, cosine: U-Net not trained; "
        "text encoders, where the network has them 0 to 0.001 to 0.00055",
        "stage 4: steps 14 to 23, 1 image a step, Prodigy, which finds its step size d while it trains: "
        "d x learning_rate is known only then; constant",
        "stage 5: steps 24 to 28, 1 image a step, Adafactor, which finds its rate while it trains: "
        "the schedule has no effect",
    ]


def heights(picture, color):
    """Rows of a color, by column, from the top."""
    width, height = picture.size
    pixels = picture.load()
    near = [
        (x, y)
        for x in range(width)
        for y in range(30, height)
        if sum(abs(a - b) for a, b in zip(pixels[x, y], color, strict=True)) < 60
    ]
    return {x: min(y for at, y in near if at == x) for x, _ in near}


def test_the_chart_falls_with_the_rate_and_jumps_between_stages():
    """A straight fall, then a plateau at a higher rate: the line ends low, and begins high again."""
    linear = replace(LINEAR, text_encoder_lr=None)
    plan = (Stage(steps=50, optimizer=linear), Stage(steps=50, optimizer=OptimizerSettings(learning_rate=1.9e-3)))
    picture = draw_plan(plan_before_training(plan, OptimizerSettings(), None, "sd15"), 400, 200)
    assert picture.size == (400, 200)
    rows = heights(picture, COLORS[0])
    first = [rows[x] for x in sorted(rows) if x < 220]
    assert first == sorted(first)
    assert first[-1] - first[0] > 120
    second = [rows[x] for x in sorted(rows) if x > 235]
    assert max(second) - min(second) <= 2
    assert max(second) < first[-1] - 80


def test_step_sizes_that_are_found_have_a_chart_of_their_own():
    def height(*optimizers):
        plan = tuple(Stage(steps=20, optimizer=optimizer) for optimizer in optimizers)
        return draw_plan(plan_before_training(plan, OptimizerSettings(), None, "sd15"), 256, 128).height

    assert height(LINEAR, PRODIGY) == 256
    assert height(PRODIGY) == height(LINEAR, OWN_RATE) == 128


def test_a_plan_of_a_million_steps_is_drawn_at_once():
    planned = plan_before_training((Stage(steps=1_000_000),), LINEAR, None, "sd15")
    assert draw_plan(planned, 512, 128).size == (512, 128)


def test_epochs_without_images_are_refused():
    with pytest.raises(ValueError, match="epochs.*connect"):
        plan_before_training((Stage(epochs=2),), LINEAR, None, "sd15")
