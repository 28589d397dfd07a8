"""A learning rate changed by hand is part of what a run is from its step on, and of nothing before."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import At, SteeredHooks, ToyBase, other_dataset, run, toy_request, with_steps
from pack.training.loop.job import StopTraining
from pack.training.loop.rate_changes import described, factor_after, totals, with_change
from pack.training.loop.stages import Stage
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.folder import run_ids
from pack.training.run.identity import Segment
from pack.training.run.record import RunRecord, load_record
from pack.training.session.session import run_training

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()


@pytest.fixture
def request_(tmp_path):
    optimizer = OptimizerSettings(learning_rate=1e-2)
    return toy_request(tmp_path, base=BASE, optimizer=optimizer, stages=(Stage(steps=8, batch_size=2),))


class Killed(BaseException):
    """Ends the process without its last save: nothing is written on the way out."""


def steered(request, changes, stop_at=None, killed_at=None):
    """A session in which the rate is multiplied by a factor after a step, for each (step, factor)."""
    hooks = SteeredHooks()

    def change(factor):
        def act(job, state):
            state.rate_changes = with_change(state.rate_changes, state.step, factor)
            hooks.saver.keep_rates(state)

        return act

    def stop(job, state):
        raise StopTraining

    def kill(job, state):
        state.is_consistent = False  # so that the saver writes nothing on the way out
        raise Killed

    steering = [At(step, change(factor)) for step, factor in changes]
    stopping = [At(step, act) for step, act in ((stop_at, stop), (killed_at, kill)) if step]
    hooks.callbacks = (*steering, *stopping)
    return run_training(request, hooks.hooks())


def fingerprints(result, num_steps=8):
    record = load_record(result.folder.record)
    return [record.fingerprint(step) for step in range(num_steps + 1)]


def in_folder(request, name):
    return replace(request, root=request.root.parent / name / "run")


def test_two_runs_equal_but_for_a_rate_changed_by_hand_are_equal_until_then_and_differ_from_there_on(request_):
    plain = run(request_)
    halved = steered(in_folder(request_, "halved"), [(3, 0.5)])
    a, b = fingerprints(plain), fingerprints(halved)
    assert a[:4] == b[:4], "step 3 itself was trained with the old rate"
    assert not set(a[4:]) & set(b[4:])
    assert len(set(a)) == len(a)
    assert halved.folder.run_id == plain.folder.run_id, "the graph asks for the same"
    assert halved.message == "new run of 8 steps; learning rate by hand: x 0.5 after step 3"
    assert not torch.equal(next(iter(plain.tensors.values())), next(iter(halved.tensors.values())))


def test_other_changes_are_other_weights_and_one_taken_back_is_none(request_):
    digests = {
        name: fingerprints(steered(in_folder(request_, name), changes))[8]
        for name, changes in {
            "none": [],
            "at 3": [(3, 0.5)],
            "at 4": [(4, 0.5)],
            "doubled": [(3, 2.0)],
            "two": [(3, 0.5), (5, 2.0)],
            "taken back": [(3, 0.5), (3, 2.0)],
        }.items()
    }
    assert digests["taken back"] == digests["none"]
    assert len(set(digests.values())) == 5


def test_queueing_again_goes_on_with_the_run_and_its_rate(request_):
    whole = steered(in_folder(request_, "whole"), [(3, 0.5)])
    first = steered(request_, [(3, 0.5)], stop_at=5)
    again = run(request_)
    assert again.folder == first.folder
    assert run_ids(request_.root) == [first.folder.run_id]
    assert again.message == "continued from step 5 of 8; learning rate by hand: x 0.5 after step 3"
    assert all(torch.equal(tensor, whole.tensors[name]) for name, tensor in again.tensors.items())
    assert fingerprints(again) == fingerprints(whole)
    assert run(request_).message.startswith("already trained: 8 steps, nothing to do; learning rate by hand")
    longer = run(with_steps(request_, 10))
    assert longer.message.startswith("continued from step 8 of 10")
    assert fingerprints(longer)[:9] == fingerprints(whole), "what is planned changes nothing that was trained"


def test_a_killed_run_comes_to_the_change_again(request_):
    """Saved every three steps: the change at step 4 is behind the last save, and the same bits come out."""
    whole = steered(in_folder(request_, "whole"), [(4, 0.5)])
    with pytest.raises(Killed):
        steered(request_, [(4, 0.5)], killed_at=5)
    again = run(request_)
    assert again.message == "continued from step 3 of 8; learning rate by hand: x 0.5 after step 4"
    assert all(torch.equal(tensor, whole.tensors[name]) for name, tensor in again.tensors.items())


def test_who_changes_the_rate_before_a_later_change_decides_again(request_):
    with pytest.raises(Killed):
        steered(request_, [(5, 0.5)], killed_at=5)
    assert load_record(next((request_.root / ".run").glob("*/run.json"))).rate_changes == ((5, 0.5),)
    again = steered(request_, [(4, 0.25)])
    assert load_record(again.folder.record).rate_changes == ((4, 0.25),)


def test_what_begins_from_such_weights_is_known_by_them(request_):
    other = {"dataset": other_dataset(), "on_dataset_change": "continue"}
    children = []
    for name, changes in (("plain", []), ("halved", [(3, 0.5)])):
        parent = steered(in_folder(request_, name), changes)
        child = run(replace(in_folder(request_, name), **other))
        record = load_record(child.folder.record)
        assert record.parent == f"{parent.folder.run_id}@8"
        assert record.parent_fingerprint == fingerprints(parent)[8]
        children.append(fingerprints(child))
    assert not set(children[0]) & set(children[1])


def test_a_schedule_with_an_end_counts_by_its_length():
    assert record_of(8, depends=True).fingerprint(2) != record_of(9, depends=True).fingerprint(2)
    assert record_of(8, depends=False).fingerprint(2) == record_of(9, depends=False).fingerprint(2)


def record_of(steps, depends):
    return RunRecord(base="b", dataset="d", segments=(Segment(0, "k", steps, "", depends),), description={})


def test_changes_multiply():
    changes = with_change(with_change((), 3, 0.5), 7, 0.5)
    assert [factor_after(changes, step) for step in (0, 2, 3, 6, 7)] == [1.0, 1.0, 0.5, 0.5, 0.25]
    assert totals(changes) == [(3, 0.5), (7, 0.25)]
    assert described(changes) == "learning rate by hand: x 0.5 after step 3, x 0.25 after step 7"
    assert with_change(changes, 7, 2.0) == ((3, 0.5),)
