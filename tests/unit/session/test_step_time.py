"""Measuring a step trains nothing that stays."""

import pytest
import torch
from pack.tests.support.toy_model import ToyBase
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.session.step_time import seconds_per_step


@pytest.mark.parametrize("parts", [("unet",), ("unet", "text_encoder")])
def test_a_step_is_timed_and_the_model_stays(parts):
    base = ToyBase()
    before = {part: {k: v.clone() for k, v in module.state_dict().items()} for part, module in base.parts().items()}
    settings = NetworkSettings(rank=2, parts=parts), ObjectiveSettings(), OptimizerSettings()
    seconds = seconds_per_step(base, *settings, Stage(steps=100, batch_size=3), (64, 128))
    assert 0 < seconds < 60
    for part, module in base.parts().items():
        after = module.state_dict()
        assert after.keys() == before[part].keys()
        assert all(torch.equal(after[key], tensor) for key, tensor in before[part].items())


def test_a_step_of_more_pictures_takes_longer():
    settings = NetworkSettings(rank=2, parts=("unet",)), ObjectiveSettings(), OptimizerSettings()
    few, many = (
        min(seconds_per_step(ToyBase(), *settings, Stage(steps=1, batch_size=size), (256, 256)) for _ in range(3))
        for size in (1, 64)
    )
    assert many > few
