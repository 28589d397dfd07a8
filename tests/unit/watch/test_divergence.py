"""The guard against exploding runs: what it ends and keeps, and what it says."""

import re
from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import At, raising, run, toy_request, with_steps
from pack.training.loop.job import StopTraining, TrainingDiverged
from pack.training.loop.rate_changes import with_change
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.lines import read_lines
from pack.training.run.saver import SaveSettings
from pack.training.session.request import LoraStart
from pack.training.watch.divergence import base_losses
from pack.training.watch.explanation import likely_cause


def spoil(factor: float):
    """What a far too large step does to a network."""

    def action(job, state):
        with torch.no_grad():
            for _, parameter in job.network.named_parameters():
                parameter.add_(torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1)) * factor)

    return action


@pytest.fixture
def request_(tmp_path):
    """Sixty steps of two samples; the network is at the model's output, where nothing behind it limits its change."""
    return toy_request(
        tmp_path,
        steps=60,
        optimizer=OptimizerSettings(learning_rate=1e-3),
        network=NetworkSettings(algorithm="locon", targets="all", rank=4, alpha=4, include=("out.2",)),
    )


def states(request):
    return sorted(int(path.stem[6:]) for path in request.root.rglob("*.state"))


def test_a_spoiled_run_stands_at_its_last_good_save(request_):
    with pytest.raises(TrainingDiverged) as caught:
        run(replace(request_, saving=SaveSettings(save_every=10)), At(30, spoil(3.0)))
    text = str(caught.value)
    assert re.search(r"at step [34]\d the loss of the last 24 samples is [\d.]+ times that of the base model", text)
    assert "worse than none. The run stands at step 30, its last save before it diverged. Most likely the" in text
    assert "learning rate (0.001) is too high for this network; lower it 3-10 times, add warmup_steps" in text
    assert states(request_) == [20, 30]
    loras = {path.name: path.read_bytes() for path in request_.root.glob("*.safetensors")}
    assert sorted(loras) == ["run-step000010.safetensors", "run-step000020.safetensors", "run-step000030.safetensors",
                             "run.safetensors"]  # fmt: skip
    assert loras["run.safetensors"] == loras["run-step000030.safetensors"]
    with pytest.raises(TrainingDiverged) as again:
        run(replace(request_, saving=SaveSettings(save_every=10)), At(31, spoil(3.0)))
    assert "stands at step 30" in str(again.value)


def test_a_rate_raised_by_hand_is_named(request_):
    def raise_rate(job, state):
        state.rate_changes = with_change(state.rate_changes, state.step, 4.0)

    with pytest.raises(TrainingDiverged, match=r"by hand.*4"):
        run(request_, At(5, raise_rate), At(8, spoil(3.0)))


def test_a_run_from_a_lora_that_was_worse_than_none_is_let_be(request_):
    """What it began with is not its doing."""
    spoiled = run(
        with_steps(replace(request_, root=request_.root.parent / "spoiled" / "run"), 1), At(1, spoil(3.0))
    ).tensors
    low = OptimizerSettings(learning_rate=1e-6)
    request = replace(request_, start=LoraStart(tensors=spoiled, key="spoiled"), optimizer=low)
    assert run(request).step == 60
    assert len(list(read_lines(next(request.root.rglob("base_losses.jsonl"))))) < 20


def test_where_nothing_good_was_saved_nothing_is_left(request_):
    with pytest.raises(TrainingDiverged, match="Nothing was saved before it diverged"):
        run(request_, At(1, spoil(3.0)))
    assert not states(request_) and not list(request_.root.glob("*.safetensors"))


def test_a_run_that_goes_on_is_judged_as_if_it_had_never_stopped(request_, tmp_path):
    """Also what the base model was asked about is known, not asked again. The step it was stopped at stays, though."""
    ended = []
    for stops in (None, 8, 25, 32):
        request = replace(request_, root=tmp_path / str(stops) / "run")
        if stops:
            run(request, At(30, spoil(3.0)), raising(stops, StopTraining()))
        with pytest.raises(TrainingDiverged) as caught:
            run(request, At(30, spoil(3.0)))
        ended.append(str(caught.value).partition("than none.")[0])
        assert caught.value.good_step == max(31, stops or 0)
        asked = [line["step"] for line in read_lines(next(request.root.rglob("base_losses.jsonl")))]
        assert len(asked) == len(set(asked)) > 12
    assert len(set(ended)) == 1


def test_a_run_without_a_fault_is_the_same_with_the_guard(request_, monkeypatch):
    watched = run(request_).tensors
    monkeypatch.setattr("pack.training.watch.divergence.DivergenceGuard.on_step", lambda *_: None)
    plain = run(replace(request_, root=request_.root.parent / "other" / "run")).tensors
    assert all(torch.equal(plain[name], tensor) for name, tensor in watched.items())


def test_base_losses_are_those_of_the_step_without_the_network(request_):
    """The network of the first step changes nothing yet, so its losses are the base model's; so far as asked later."""
    seen = {}

    def look(job, state):
        seen.update(asked=[base_losses(job, step) for step in (1, 2)], state=state.step)

    request = replace(request_, stages=(Stage(steps=12, batch_size=3, grad_accumulation_steps=2),))
    run(request, At(12, look))
    first = next(read_lines(next(request.root.rglob("metrics.jsonl"))))
    assert [sample["loss"] for sample in first["samples"]] == pytest.approx(seen["asked"][0], rel=1e-6)
    assert len(seen["asked"][1]) == 5 and seen["asked"][1] != seen["asked"][0]


@pytest.mark.parametrize(
    ("settings", "network", "wanted"),
    [
        ({"learning_rate": 3e-3}, {}, r"rate \(0.003\) .* lower it 3-10 times, add warmup_steps. Usual for"),
        ({"max_grad_norm": 0.0, "schedule": ScheduleSettings(warmup_steps=5)}, {}, "set max_grad_norm to 1"),
        ({"loraplus_ratio": 16.0}, {"alpha": 8}, r"lower alpha to the rank \(.* is 2\), lower loraplus_ratio"),
        ({"optimizer": "Prodigy", "learning_rate": 1.0, "arguments": "d_coef=2"}, {},
         r"step size that Prodigy found \(d x rate = .*learning_rate to 0.3, d_coef to 1, alpha to 1"),
        ({"optimizer": "DAdaptAdam", "learning_rate": 1.0}, {"alpha": 1}, r"learning_rate to 0.3, or use Prodigy"),
        ({"optimizer": "Adafactor", "arguments": "relative_step=True"}, {}, "set one, with relative_step=False"),
    ],
)  # fmt: skip
def test_the_likely_cause_follows_from_the_settings(settings, network, wanted, request_):
    causes = []
    request = replace(
        request_,
        optimizer=OptimizerSettings(**{"learning_rate": 1e-4, **settings}),
        network=replace(request_.network, **network),
    )

    def look(job, state):
        causes.append(likely_cause(job, state))

    run(with_steps(request, 2), At(1, look))
    assert re.search(wanted, causes[0]), causes
