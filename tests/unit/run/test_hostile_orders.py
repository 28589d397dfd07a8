"""Orders of ordinary actions that nobody listed beforehand: nothing is gone, overwritten or passed over in silence."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.tests.support.moments import failing_write
from pack.tests.support.person import CONSTANT, OTHER_RATE, Canceled, Person
from pack.tests.support.toy_model import At, other_dataset, raising, toy_dataset
from pack.tests.support.wishes import COSINE, HELD_OUT, larger_dataset
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.loop.job import StopTraining
from pack.training.loop.rate_changes import with_change
from pack.training.loop.stages import Stage
from pack.training.run.disk import disk_use
from pack.training.run.folder import RunFolder, run_ids
from pack.training.run.lock import locked
from pack.training.run.picks import save_pick
from pack.training.run.saver import SaveFailed, SaveSettings
from pack.training.watch.divergence import DivergenceGuard
from pack.training.watch.judge import Excess, Judge

pytestmark = pytest.mark.usefixtures("quick_disk")

FEW = SaveSettings(save_every=2, save_dtype="float32", keep_last=1)


@pytest.fixture
def person(tmp_path):
    return Person(tmp_path / "loras")


@pytest.fixture
def alone(tmp_path):
    """Somebody else, whose runs nothing happens to."""
    return Person(tmp_path / "alone")


def contents(person):
    return {path.read_bytes() for path in person.loras.rglob("*.safetensors")}


def delete_states(person, name="mira"):
    for path in (person.loras / name).glob(".run/*/*.state"):
        path.unlink()


def assert_equal(a, b):
    assert set(a) == set(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def halve(saver):
    """The button, after the first step."""

    def press(job, state):
        state.rate_changes = with_change(state.rate_changes, state.step, 0.5)
        saver.keep_rates(state)

    return At(1, press)


def test_what_is_set_aside_twice_gets_two_names(person):
    """Brackets mean something in patterns of file names."""
    name, seen = "mira [2]", set()
    for optimizer in (CONSTANT, OTHER_RATE, COSINE):
        person.queue(name, optimizer=optimizer)
        seen |= set(person.files(name).values())
        shutil.rmtree(person.loras / name / ".run")
    assert seen <= contents(person)


def test_what_is_set_aside_keeps_its_step_in_whatever_case_the_name_was_typed(person):
    root = person.loras / "mira"
    root.mkdir(parents=True)
    save_lora(root / "MIRA-step000002.safetensors", {"a": torch.zeros(1)}, {})
    person.queue()
    assert "mira-earlier-1-step000002.safetensors" in person.files()


def test_a_lora_renamed_to_keep_it_is_kept(person):
    """The folder is no renamed one: the file would be overwritten, and its step be dropped by keep_last."""
    person.queue()
    good = person.lora().rename(person.lora().with_name("the good one.safetensors"))
    before = good.read_bytes()
    person.queue(steps=10, saving=FEW)
    assert good.read_bytes() == before


def test_a_folder_renamed_twice_is_found_with_its_steps(person):
    person.queue()
    for old, new in (("mira", "nora"), ("nora", "vera")):
        (person.loras / old).rename(person.loras / new)
        result = person.queue(new)
        assert result.losses == () and set(result.folder.step_loras()) == {2, 4, 6}


def test_a_run_that_was_moved_into_a_folder_is_found(person):
    first = person.queue()
    (person.loras / "people").mkdir()
    (person.loras / "mira").rename(person.loras / "people" / "mira")
    result = person.queue()
    assert result.losses == () and "'people/mira'" in result.message
    assert_equal(result.tensors, first.tensors)


@pytest.mark.parametrize("settings", [{}, {"steps": 8}, {"optimizer": OTHER_RATE}], ids=["same", "more", "others"])
def test_a_lora_edited_in_place_is_not_overwritten(settings, person):
    """By a tool that keeps the header, with the id of the run in it."""
    person.queue()
    file = load_lora(person.lora())
    save_lora(person.lora(), file.tensors, {**file.metadata, "modelspec.description": "mine"})
    edited = person.lora().read_bytes()
    person.queue(**settings)
    told = person.queue().message
    assert edited in contents(person)
    assert settings or "mira-earlier-1.safetensors" in told or edited in person.files().values()


def test_steps_that_were_deleted_make_no_latest_lora_a_strange_one(person):
    person.queue()
    for path in (person.loras / "mira").glob("*-step*"):
        path.unlink()
    more = person.queue(steps=8)
    assert set(person.files()) == {"mira.safetensors", "mira-step000006.safetensors", "mira-step000008.safetensors"}
    assert "earlier" not in more.message


def test_one_deleted_run_leaves_no_lora_to_be_overwritten(person):
    """The next run of these settings has the same id, but not the rate that was halved by hand."""
    once = SaveSettings(save_every=100, save_dtype="float32")
    steered = person.queue("mira", halve, saving=once)
    before = set(person.files().values())
    shutil.rmtree(steered.folder.private)
    result = person.queue(saving=once)
    assert before <= contents(person)
    assert "mira-earlier-1.safetensors" in result.message


def test_deleted_states_train_nothing(person):
    first = person.queue()
    before = person.files()
    delete_states(person)
    again = person.queue()
    assert again.losses == () and person.files() == before
    assert_equal(again.tensors, first.tensors)


def test_deleted_states_and_latest_lora_make_no_state_of_rounded_weights(person, alone):
    first = person.queue(saving=SaveSettings(save_every=2))
    delete_states(person)
    person.lora().unlink()
    person.queue(saving=SaveSettings(save_every=2))
    assert not first.folder.states() and person.lora().read_bytes() == first.folder.step_lora(6).read_bytes()
    assert_equal(person.queue(steps=8).tensors, alone.queue(steps=8).tensors)


def test_fewer_steps_where_later_ones_were_deleted_replace_no_latest_lora(person):
    person.queue(steps=8)
    for step in (6, 8):
        (person.loras / "mira" / f"mira-step{step:06d}.safetensors").unlink()
    before = person.lora().read_bytes()
    assert person.queue(steps=4).losses == ()
    assert person.lora().read_bytes() == before


def test_deleted_states_and_more_steps_end_as_an_undisturbed_run(person, alone):
    person.queue()
    delete_states(person)
    assert_equal(person.queue(steps=8).tensors, alone.queue(steps=8).tensors)


def test_deleted_states_and_a_rate_changed_by_hand_overwrite_nothing(person):
    person.queue()
    before = set(person.files().values())
    delete_states(person)
    person.queue("mira", halve, steps=8)
    assert before <= contents(person)


def test_deleted_states_and_a_longer_schedule_overwrite_nothing(person):
    person.queue(optimizer=COSINE)
    before = set(person.files().values())
    delete_states(person)
    person.queue(steps=8, optimizer=COSINE)
    assert before <= contents(person)


def test_a_run_of_which_the_latest_lora_is_left_gives_its_folder_to_no_other(person):
    """No state and no step are left of it."""
    person.queue()
    delete_states(person)
    for path in (person.loras / "mira").glob("*-step*"):
        path.unlink()
    before = set(person.files().values())
    person.queue(optimizer=OTHER_RATE)
    assert before <= contents(person)


def test_a_foreign_file_in_place_of_a_step_is_not_given_out_for_it(person, alone):
    person.queue(steps=8)
    step = person.loras / "mira" / "mira-step000004.safetensors"
    save_lora(step, load_lora(alone.queue(steps=4, seed=9).folder.latest_lora).tensors, {"ss_session_id": "elsewhere"})
    foreign = step.read_bytes()
    assert_equal(person.queue(steps=4).tensors, alone.queue(steps=4).tensors)
    assert foreign in contents(person)


def test_what_can_be_neither_moved_nor_copied_is_not_overwritten(person, monkeypatch):
    person.queue()
    before = person.files()

    replace_ = Path.replace

    def refuse(path, target):
        if path.suffix == ".safetensors":  # no temporary file
            raise OSError(18, "Invalid cross-device link", str(path))
        return replace_(path, target)

    def full(path, target):
        raise OSError(28, "No space left on device", str(target))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", refuse)
        patched.setattr("pack.training.run.name.copy_atomic", full)
        with pytest.raises(SaveFailed):
            person.queue(optimizer=OTHER_RATE)
    assert person.files() == before


def test_what_a_canceled_run_moved_is_told_by_the_next_queue(person):
    first = person.queue()
    with pytest.raises(Canceled):
        person.queue("mira", raising(3, Canceled()), optimizer=OTHER_RATE)
    told = person.queue(optimizer=OTHER_RATE).message
    assert first.folder.run_id in told and ".run" in told
    assert first.folder.run_id not in person.queue(optimizer=OTHER_RATE).message


@pytest.mark.parametrize("moment", range(1, 30, 3))
def test_a_write_that_fails_once_hides_nothing_that_it_moved(moment, person):
    first = person.queue()
    seen = set(person.files().values())
    with failing_write(moment, lambda path: OSError(28, "No space left on device", str(path))):
        try:
            person.queue(optimizer=OTHER_RATE)
        except RuntimeError:
            assert seen <= contents(person)
    told = person.queue(optimizer=OTHER_RATE).message
    assert seen <= contents(person)
    assert person.files() == {} or first.folder.run_id in told or "already" in told


def excess_at(monkeypatch, step, good_step):
    """The judge finds an excess at a step."""
    add = Judge.add

    def found(self, at, *rest):
        add(self, at, *rest)
        return Excess(9.0, 24, good_step) if at == step else None

    monkeypatch.setattr(Judge, "add", found)


def test_a_finished_lora_stays_where_more_steps_diverge(person, monkeypatch):
    """The judge may find that it went wrong before it was finished; people use it all the same."""
    first = person.queue(steps=6)
    before = set(person.files().values())
    excess_at(monkeypatch, 9, good_step=3)
    with pytest.raises(RuntimeError, match="step 6"):
        person.queue(steps=12)
    assert before <= contents(person)
    assert person.lora().read_bytes() == first.folder.step_lora(6).read_bytes()
    assert person.queue(steps=6).losses == ()


def test_a_picked_step_stays_where_a_run_diverges(person, monkeypatch):
    excess_at(monkeypatch, 9, good_step=3)
    picked = At(7, lambda job, state: save_pick(person_folder(person), 6))
    with pytest.raises(RuntimeError):
        person.queue("mira", picked, steps=12)
    assert set(person_folder(person).step_loras()) == {2, 6}


def person_folder(person):
    root = person.loras / "mira"
    return RunFolder(root, run_ids(root)[0])


def test_a_state_and_a_lora_of_the_last_good_step_are_kept(person, monkeypatch):
    """However late it is noticed, and however few steps are to be kept."""
    excess_at(monkeypatch, 11, good_step=3)
    monkeypatch.setattr(DivergenceGuard, "good_step", property(lambda self: 3))
    with pytest.raises(RuntimeError, match="stands at step 2"):
        person.queue(steps=12, saving=FEW)
    folder = person_folder(person)
    assert list(folder.states()) == [2] and list(folder.step_loras()) == [2]
    assert load_lora(person.lora()).metadata["ss_steps"] == "2"
    monkeypatch.undo()
    assert "continued from step 2" in person.queue(steps=12, saving=FEW).message


def test_images_held_out_that_the_weights_were_trained_on_are_named(person):
    person.queue(dataset=larger_dataset())
    share = HELD_OUT["a share"]
    going_on = person.queue(dataset=larger_dataset(), validation=share, on_dataset_change="continue")
    assert "2 of 2 held-out images were trained before" in going_on.message
    fresh = person.queue("nora", dataset=larger_dataset(), validation=share)
    assert "held-out" not in fresh.message
    again = person.queue(dataset=larger_dataset(), validation=share, on_dataset_change="continue")
    assert "held-out" in again.message


def test_why_steps_are_trained_again_is_said(person):
    longer = person.queue(steps=12, saving=FEW).folder
    told = person.queue(steps=4).message
    assert longer.run_id in told and "step 4" in told


def test_a_name_that_is_being_trained_is_named_where_it_is_not_copied(person):
    person.queue()
    with locked(person.loras / "mira"):
        told = person.queue("nora").message
        other = person.queue("vera", optimizer=OTHER_RATE).message
    assert "'mira' is not copied: it is being trained" in told
    assert "mira" not in other


def test_fewer_kept_steps_of_a_finished_run_are_told(person):
    person.queue()
    told = person.queue(saving=FEW).message
    assert "keep_last 1" in told and set(person.files()) == {"mira.safetensors", "mira-step000006.safetensors"}
    assert "keep_last" not in person.queue(saving=FEW).message


def test_what_a_name_costs_counts_what_was_set_aside(person):
    person.queue()
    shutil.rmtree(person.loras / "mira" / ".run")
    person.queue(optimizer=OTHER_RATE)
    use = disk_use(person.loras / "mira")
    assert use.aside == sum(path.stat().st_size for path in (person.loras / "mira").glob("*-earlier-*"))
    assert use.freeable == use.aside


def test_another_batch_size_and_back_trains_nothing_twice(person):
    first = person.queue()
    person.queue(stages=(Stage(steps=6, batch_size=1),))
    back = person.queue()
    assert back.losses == ()
    assert_equal(back.tensors, first.tensors)


def test_an_average_switched_on_and_off_keeps_both(person):
    person.queue()
    plain = set(person.files().values())
    person.queue(optimizer=replace(CONSTANT, ema_decay=0.9))
    average = set(person.files().values())
    assert person.queue().losses == ()
    assert plain | average <= contents(person)


def test_a_stop_and_other_data_lose_no_step(person):
    stopped = person.queue("mira", raising(3, StopTraining()))
    seen = set(person.files().values())
    person.queue(dataset=other_dataset())
    assert seen <= contents(person)
    rest = person.queue(dataset=toy_dataset())
    assert rest.message.startswith("continued from step 3 of 6") and stopped.folder.run_id == rest.folder.run_id
