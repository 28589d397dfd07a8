"""Float16's loss scale: one that overflows is lowered once, kept in the state, and tried again later."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import At, ToyBase, raising, run, toy_request
from pack.training.loop import gradients
from pack.training.loop.job import StopTraining
from pack.training.loop.stages import Stage
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.saver import SaveSettings
from pack.training.run.state import load_state

pytestmark = pytest.mark.usefixtures("quick_disk")
SGD = OptimizerSettings(optimizer="SGD", learning_rate=1e-2)


class Overflowing(ToyBase):
    """Like an fp16 model: its backward overflows above a scale, here at 65,536 and 4,096."""

    loss_scale = 2.0**16

    def __init__(self):
        super().__init__()
        self.passes = 0

    def denoise(self, *asked):
        prediction = super().denoise(*asked)
        if prediction.requires_grad:
            self.passes += 1
            prediction.register_hook(lambda grad: torch.full_like(grad, torch.inf) if grad.abs().max() > 30 else grad)
        return prediction


def request_of(root, base, steps=6):
    request = toy_request(root, base=base, stages=(Stage(steps=steps, batch_size=2),), optimizer=SGD)
    return replace(request, saving=SaveSettings(save_every=100))


def test_a_scaled_loss_gives_the_same_weights_also_where_it_overflows_at_first(tmp_path):
    plain = run(request_of(tmp_path / "plain", ToyBase())).tensors
    scaled = run(request_of(tmp_path / "scaled", Overflowing())).tensors
    assert plain.keys() == scaled.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(scaled[name], tensor, rtol=1e-5, atol=1e-7)


def test_an_overflow_is_paid_once_and_the_full_scale_is_tried_again(tmp_path, monkeypatch):
    monkeypatch.setattr(gradients, "FULL_SCALE_EVERY", 4)
    base, passes = Overflowing(), {}

    def look(job, state):
        passes[state.step] = base.passes, state.loss_scale

    run(request_of(tmp_path, base), *(At(step, look) for step in range(1, 7)))
    first, scale = passes[1]
    assert first > 1 and scale < 2.0**16
    assert [passes[step][0] - first for step in range(2, 5)] == [1, 2, 3], "one pass a step"
    assert passes[5][0] - passes[4][0] == first, "every fourth step asks for the full scale"
    assert passes[6][0] - passes[5][0] == 1


def test_a_resumed_run_knows_the_scale_and_has_the_same_bits(tmp_path):
    whole = run(request_of(tmp_path / "whole", Overflowing()))
    halves = request_of(tmp_path / "halves", Overflowing())
    found = run(halves, raising(3, StopTraining()))
    assert load_state(found.folder.state(3)).data["loss_scale"] < 2.0**16
    base = Overflowing()
    second = run(replace(halves, base=base))
    assert base.passes == 3
    assert second.step == 6
    assert all(torch.equal(whole.tensors[name], second.tensors[name]) for name in whole.tensors)


def test_states_say_nothing_of_a_scale_that_is_the_models_own(tmp_path):
    found = run(request_of(tmp_path, ToyBase()))
    assert "loss_scale" not in load_state(found.folder.state(6)).data
