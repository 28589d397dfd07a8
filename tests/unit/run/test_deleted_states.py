"""States are the largest files of a run, so people delete them, and steps, to free space: nothing else is lost."""

import shutil

import pytest
from pack.tests.support.person import OTHER_RATE, assert_equal, halve
from pack.tests.support.wishes import COSINE
from pack.training.run.saver import SaveSettings

pytestmark = pytest.mark.usefixtures("quick_disk")


def delete_states(person, name="mira"):
    for path in (person.loras / name).glob(".run/*/*.state"):
        path.unlink()


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
    assert before <= person.contents()


def test_deleted_states_and_a_longer_schedule_overwrite_nothing(person):
    person.queue(optimizer=COSINE)
    before = set(person.files().values())
    delete_states(person)
    person.queue(steps=8, optimizer=COSINE)
    assert before <= person.contents()


def test_a_run_of_which_the_latest_lora_is_left_gives_its_folder_to_no_other(person):
    """No state and no step are left of it."""
    person.queue()
    delete_states(person)
    for path in (person.loras / "mira").glob("*-step*"):
        path.unlink()
    before = set(person.files().values())
    person.queue(optimizer=OTHER_RATE)
    assert before <= person.contents()


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
    assert before <= person.contents()
    assert "mira-earlier-1.safetensors" in result.message


@pytest.mark.parametrize(("saving", "first", "then"), [
    (SaveSettings(save_every=2, save_dtype="float32", keep_last=1), 8, 4),
    (SaveSettings(save_every=3, save_dtype="float32"), 6, 8),
])  # fmt: skip
def test_a_latest_lora_that_is_all_that_is_left_of_a_run_is_set_aside(saving, first, then, person, alone):
    """States and steps deleted; the same settings begin again in the run's folder."""
    folder = person.queue(steps=first, saving=saving).folder
    left = person.lora().read_bytes()
    for path in [*folder.states().values(), *folder.step_loras().values()]:
        path.unlink()
    result = person.queue(steps=then, saving=saving)
    assert left in person.contents() and "mira-earlier-1.safetensors" in result.message
    assert_equal(result.tensors, alone.queue(steps=then, saving=saving).tensors)
