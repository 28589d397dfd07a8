"""A run wanted under another name is not trained again."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import ToyBase, other_dataset, raising, run, toy_request, with_steps
from pack.training.files.lora_file import load_lora
from pack.training.loop.stages import Stage
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.folder import RunFolder, current_run
from pack.training.run.lock import locked
from pack.training.run.saver import SaveSettings
from pack.training.run.state import load_state

pytestmark = pytest.mark.usefixtures("quick_disk")


@pytest.fixture
def request_(tmp_path):
    return toy_request(
        tmp_path,
        base=ToyBase(),
        optimizer=OptimizerSettings(learning_rate=1e-2),
        stages=(Stage(steps=4, batch_size=2),),
        saving=SaveSettings(save_every=2),
    )


def named(request, name):
    return replace(request, root=request.root.parent / name)


def tensors(path):
    return load_lora(path).tensors


def assert_equal(a, b):
    assert a.keys() == b.keys()
    assert all(torch.equal(a[name], b[name]) for name in a)


def test_a_finished_run_is_there_under_its_new_name(request_):
    first = run(request_)
    before = {path: path.read_bytes() for path in request_.root.rglob("*") if path.is_file()}
    second = run(named(request_, "renamed"))
    assert not second.losses
    assert (
        second.message
        == f"already trained: 4 steps, nothing to do; copied from {request_.root.name!r}, where it was trained"
    )
    assert_equal(second.tensors, first.tensors)
    assert second.folder.root.name == "renamed" and current_run(second.folder.root) == second.folder.run_id
    assert second.folder.metrics.read_text() == first.folder.metrics.read_text()
    assert list(second.folder.step_loras()) == [2, 4]
    for step in (2, 4):
        assert_equal(tensors(second.folder.step_lora(step)), tensors(first.folder.step_lora(step)))
    assert second.folder.latest_lora.read_bytes() == second.folder.step_lora(4).read_bytes()
    assert {path: path.read_bytes() for path in request_.root.rglob("*") if path.is_file()} == before
    again = run(named(request_, "renamed"))
    assert again.message == "already trained: 4 steps, nothing to do"


def test_an_unfinished_run_goes_on_under_its_new_name_with_the_same_bits(request_, tmp_path):
    with pytest.raises(RuntimeError, match="torn"):
        run(request_, raising(3, RuntimeError("torn")))
    renamed = run(named(request_, "renamed"))
    assert renamed.message.startswith("continued from step 3 of 4; copied from")
    whole = run(replace(request_, root=tmp_path / "elsewhere" / "whole"))
    assert whole.message == "new run of 4 steps"
    assert_equal(renamed.tensors, whole.tensors)
    a, b = (load_state(result.folder.state(4)).tensors for result in (renamed, whole))
    assert_equal(a, b)


def test_more_steps_under_a_new_name_go_on(request_):
    run(request_)
    more = run(named(with_steps(request_, 6), "longer"))
    assert more.message.startswith("continued from step 4 of 6; copied from")
    assert len(more.losses) == 2


def test_what_the_name_has_itself_comes_first(request_):
    run(with_steps(request_, 2))
    other = named(request_, "other")
    with pytest.raises(RuntimeError, match="torn"):
        run(other, raising(3, RuntimeError("torn")))
    assert run(request_).message == "continued from step 2 of 4"
    assert run(other).message == "continued from step 3 of 4"


def test_another_run_and_one_steered_by_hand_are_not_taken(request_):
    result = run(request_)
    assert run(named(replace(request_, seed=request_.seed + 1), "seed")).message == "new run of 4 steps"
    record = result.folder.record
    steered = record.read_text().replace('"rate_changes": []', '"rate_changes": [[1, 0.5]]')
    assert steered != record.read_text()
    record.write_text(steered)
    assert run(named(request_, "unsteered")).message == (
        f"new run of 4 steps; {request_.root.name!r} is not copied: its learning rate was changed by hand"
    )


def test_a_copy_that_was_cut_short_is_made_again(request_):
    first = run(request_)
    torn = RunFolder(request_.root.parent / "renamed", first.folder.run_id)
    torn.private.mkdir(parents=True)
    torn.metrics.write_text("{")
    (torn.private / "renamed-step000002.safetensors").write_bytes(b"torn")
    second = run(named(request_, "renamed"))
    assert second.message.startswith("already trained") and second.folder.run_id == first.folder.run_id
    assert_equal(tensors(second.folder.step_lora(2)), tensors(first.folder.step_lora(2)))
    assert second.folder.metrics.read_text() == first.folder.metrics.read_text()


def test_a_name_that_goes_on_from_its_own_weights_takes_no_other_run(request_):
    going_on = replace(request_, on_dataset_change="continue")
    first = run(going_on)
    run(named(replace(request_, dataset=other_dataset()), "other"))
    changed = run(replace(going_on, dataset=other_dataset()))
    assert changed.message.startswith(f"new run of 4 steps from the weights of run {first.folder.run_id}@4")


def test_a_run_that_is_being_trained_is_left_alone(request_):
    run(request_)
    with locked(request_.root):
        told = run(named(request_, "meanwhile")).message
    assert told == "new run of 4 steps; 'run' is not copied: it is being trained right now"


def test_a_damaged_step_of_the_other_name_is_left_out(request_):
    first = run(request_)
    first.folder.step_lora(2).write_bytes(b"torn")
    second = run(named(request_, "renamed"))
    assert second.message.startswith("already trained: 4 steps, nothing to do; copied from")
    assert list(second.folder.step_loras()) == [4]
