"""What one optimizer step is, and how stages follow each other."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import At, ToyBase, raising, run, toy_dataset, toy_request
from pack.training.data.dataset import combine
from pack.training.loop.batches import batch_at, epoch_at
from pack.training.loop.job import Callback, StopTraining
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.objective import Draws, diffusion_loss
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.saver import SaveSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()
BOTH_PARTS = NetworkSettings(rank=2, alpha=2, parts=("unet", "text_encoder"))
SGD = OptimizerSettings(optimizer="SGD", learning_rate=0.05, weight_decay=0.0, max_grad_norm=0.0)


def request_of(root, *stages, **changes):
    return toy_request(root, base=BASE, stages=stages, saving=SaveSettings(save_every=100), **changes)


class Reports(Callback):
    """Callback that keeps what it hears."""

    def __init__(self):
        self.reports, self.job, self.start = [], None, {}

    def on_start(self, job, state):
        self.job = job
        self.start = {name: parameter.detach().clone() for name, parameter in job.network.named_parameters()}

    def on_step(self, job, state, report):
        self.reports.append(report)


def test_a_step_is_gradient_descent_on_the_mean_of_its_batches(tmp_path):
    """Against a direct computation of the accumulated gradient with plain SGD."""
    heard, after = Reports(), {}

    def look(job, state):
        after.update({name: parameter.detach().clone() for name, parameter in job.network.named_parameters()})

    request = request_of(tmp_path, Stage(steps=1, batch_size=2, grad_accumulation_steps=3), optimizer=SGD)
    run(request, heard, At(1, look))
    job = heard.job
    parameters = dict(job.network.named_parameters())
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(heard.start[name])
    job.network.attach()
    losses = []
    for micro in range(3):
        batch = batch_at(job, 0, micro)
        draws = Draws(seed=job.seed, step=0, micro_step=micro)
        losses.append(diffusion_loss(BASE, job.network, batch, job.texts(batch.captions), job.objective, draws).loss_B)
    job.network.detach()
    loss = torch.stack([loss_B.mean() for loss_B in losses]).mean()
    gradients = torch.autograd.grad(loss, list(parameters.values()))
    assert heard.reports[0].loss == pytest.approx(float(loss.detach()), rel=1e-5)
    norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
    assert heard.reports[0].grad_norm == pytest.approx(float(norm), rel=1e-4)
    for (name, _), gradient in zip(parameters.items(), gradients, strict=True):
        assert torch.allclose(after[name], heard.start[name] - 0.05 * gradient, atol=1e-7)


def test_gradients_are_cut_to_the_norm(tmp_path):
    moved = []

    def look(job, state):
        moved.append(torch.cat([(p.detach() - heard.start[n]).flatten() for n, p in job.network.named_parameters()]))

    heard = Reports()
    run(request_of(tmp_path, Stage(steps=1), optimizer=replace(SGD, max_grad_norm=1e-3)), heard, At(1, look))
    assert float(moved[0].norm()) == pytest.approx(0.05 * 1e-3, rel=1e-3)
    assert heard.reports[0].grad_norm > 1e-3


def test_the_rate_follows_each_stage_and_epochs_count_on(tmp_path):
    heard = Reports()
    linear = replace(SGD, schedule=ScheduleSettings(schedule="linear"))
    run(request_of(tmp_path, Stage(steps=2, batch_size=2), Stage(steps=4, optimizer=linear), optimizer=SGD), heard)
    rates = [report.learning_rates["unet"] for report in heard.reports]
    assert rates == pytest.approx([0.05, 0.05, 0.05, 0.0375, 0.025, 0.0125])
    assert [report.stage for report in heard.reports] == [0, 0, 1, 1, 1, 1]
    assert [report.epoch for report in heard.reports] == [0, 0, 1, 1, 1, 1]
    assert [epoch_at(heard.job, step) for step in range(7)] == [0, 0, 0, 1, 1, 1, 1]


def test_a_stage_in_epochs_shows_every_image(tmp_path):
    heard = Reports()
    run(request_of(tmp_path, Stage(epochs=2.0, batch_size=2)), heard)
    shown = [sample.image_id for report in heard.reports for sample in report.samples]
    assert len(heard.reports) == 6
    assert sorted(shown) == sorted([*range(5), *range(5)])


def test_moments_are_kept_or_reset(tmp_path):
    adamw = OptimizerSettings(learning_rate=1e-3)
    seen = {}

    def counted(key):
        def look(job, state):
            seen[key] = {int(entry["step"]) for entry in state.optimizer.state.values()}

        return At(3, look)

    for keep in (True, False):
        stages = (
            Stage(steps=2, optimizer=adamw),
            Stage(steps=2, optimizer=replace(adamw, learning_rate=1e-4), keep_optimizer_state=keep),
        )
        run(request_of(tmp_path / str(keep), *stages), counted(keep))
    assert seen == {True: {3}, False: {1}}


@pytest.mark.parametrize("frozen", ["unet_lr", "text_encoder_lr"])
def test_a_part_with_rate_0_stands_still_and_takes_no_gradient(frozen, tmp_path):
    """Also where it was trained in the stage before; its gradients must not count in the norm either."""
    adamw = OptimizerSettings(learning_rate=1e-2)
    stages = Stage(steps=2, optimizer=adamw), Stage(steps=2, optimizer=replace(adamw, **{frozen: 0.0}))
    prefix = "lora_te_" if frozen == "text_encoder_lr" else "lora_unet_"
    weights = {}

    def look(step):
        def note(job, state):
            assert all(parameter.grad is None for _, parameter in job.network.named_parameters())
            weights[step] = {n: p.detach().clone() for n, p in job.network.named_parameters()}

        return At(step, note)

    run(request_of(tmp_path, *stages, network=BOTH_PARTS), look(2), look(4))
    for name, before in weights[2].items():
        assert torch.equal(before, weights[4][name]) == name.startswith(prefix)


def test_stages_that_train_nothing_in_common(tmp_path):
    adamw = OptimizerSettings(learning_rate=1e-2)
    only_unet, only_text = (replace(adamw, **{name: 0.0}) for name in ("text_encoder_lr", "unet_lr"))
    stages = Stage(steps=2, optimizer=only_unet), Stage(steps=2, optimizer=only_text)
    assert run(request_of(tmp_path, *stages, network=BOTH_PARTS), raising(3, StopTraining())).step == 3
    assert run(request_of(tmp_path, *stages, network=BOTH_PARTS)).step == 4


def test_samples_kept_as_base_are_named(tmp_path):
    dataset = combine([toy_dataset(), toy_dataset().with_role(True, 1.0)])
    objective = ObjectiveSettings(prior_preservation="regularization_images")
    heard = Reports()
    request = request_of(tmp_path, Stage(steps=3, batch_size=2), dataset=dataset, objective=objective)
    run(request, heard)
    for report in heard.reports:
        batch = batch_at(heard.job, report.step - 1, 0)
        assert [sample.is_kept for sample in report.samples] == batch.is_regularization_B.tolist()
    assert {sample.is_kept for report in heard.reports for sample in report.samples} == {False, True}
