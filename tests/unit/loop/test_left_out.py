"""A step that overflows float16 changes nothing and ends no run; several in a row do."""

import pytest
import torch
from pack.tests.support.toy_model import At, ToyBase, run, toy_request
from pack.training.loop.job import Callback, TrainingDiverged
from pack.training.loop.stages import Stage
from pack.training.run.saver import SaveSettings

pytestmark = pytest.mark.usefixtures("quick_disk")


class Overflowing(ToyBase):
    """Gives infinity at some of the calls that keep gradients."""

    def __init__(self, *bad_calls, loss_scale=2.0**16):
        super().__init__()
        self.bad_calls, self.loss_scale, self.calls = bad_calls, loss_scale, 0

    def denoise(self, *asked):
        output = super().denoise(*asked)
        if not torch.is_grad_enabled():
            return output
        self.calls += 1
        return output * torch.inf if self.calls in self.bad_calls else output


class Heard(Callback):
    def __init__(self):
        self.reports = []

    def on_step(self, job, state, report):
        self.reports.append(report)


def trained(root, base, *callbacks):
    request = toy_request(root, base=base, stages=(Stage(steps=6),), saving=SaveSettings(save_every=3))
    return run(request, *callbacks)


def test_one_step_is_left_out_and_costs_one_pass(tmp_path):
    base, heard, weights = Overflowing(3), Heard(), {}

    def look(job, state):
        weights[state.step] = [parameter.detach().clone() for _, parameter in job.network.named_parameters()]

    result = trained(tmp_path, base, heard, *(At(step, look) for step in (2, 3, 4)))
    assert result.step == 6
    assert [report.is_left_out for report in heard.reports] == [False, False, True, False, False, False]
    assert all(torch.equal(a, b) for a, b in zip(weights[2], weights[3], strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(weights[3], weights[4], strict=True))
    assert base.calls == 6, "a smaller loss scale helps no loss that is not finite"
    assert len(result.losses) == 5
    assert all(torch.isfinite(tensor).all() for tensor in result.tensors.values())


@pytest.mark.parametrize("base", [Overflowing(2, 3, 4, 5), Overflowing(3, loss_scale=1.0), Overflowing(1)])
def test_a_model_that_gives_no_numbers_is_given_up(base, tmp_path):
    with pytest.raises(TrainingDiverged):
        trained(tmp_path, base)
