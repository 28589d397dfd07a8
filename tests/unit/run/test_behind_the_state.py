"""LoRAs that a killed save left behind the last state: no plan but theirs overwrites them or is given them."""

import pytest
from pack.tests.support.pauses import Pauses, halve_rate
from pack.tests.support.person import OTHER_RATE, Canceled, assert_equal
from pack.tests.support.toy_model import At
from pack.tests.support.wishes import PLANS
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.loop.stages import Stage
from pack.training.run.latest import LATEST_FILE
from pack.training.run.saver import SaveSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

TWO = (Stage(steps=4, batch_size=2), Stage(steps=2, batch_size=2, optimizer=OTHER_RATE))


@pytest.fixture
def killed(person):
    """Queues, then leaves what a process leaves that dies between a save's LoRAs and its state."""

    def queue_and_die(**changes):
        result = person.queue(**changes)
        result.folder.state(result.step).unlink()
        return result

    return queue_and_die


@pytest.mark.parametrize("between", [None, 4, 5, 9])
@pytest.mark.parametrize(("first", "then"), [({"stages": TWO}, {"steps": 6}), ({"steps": 6}, {"stages": TWO})])
def test_another_plan_overwrites_no_step(first, then, between, person, killed):
    killed_run = killed(**first).folder
    before = killed_run.step_lora(6).read_bytes()
    if between:
        try_until_step_5(person, between)
    result = person.queue(**then)
    where = [path for path in person.loras.rglob("*.safetensors") if path.read_bytes() == before]
    if result.folder == killed_run:
        assert len(where) == 1 and "-earlier-" in where[0].name and where[0].name in result.message
    else:
        assert where[0].parent == killed_run.private and killed_run.run_id in result.message


def test_the_same_plan_writes_the_same_step_and_says_nothing(person, killed):
    before = killed().folder.step_lora(6).read_bytes()
    result = person.queue()
    assert person.files()["mira-step000006.safetensors"] == before and "earlier" not in result.message


def test_a_rate_changed_by_hand_overwrites_no_step(person, killed):
    before = killed().folder.step_lora(6).read_bytes()
    result = person.queue("mira", lambda saver: Pauses(saver, 5, halve_rate))
    assert before in person.contents() and "-earlier-" in result.message


def test_a_step_of_another_plan_is_not_given_out(person, killed, alone):
    killed(stages=TWO)
    try_until_step_5(person, 8)
    assert_equal(person.queue(steps=6).tensors, alone.queue(steps=6).tensors)


def test_a_step_without_a_state_that_is_given_out_is_the_latest_lora(person):
    """The process died between the LoRA of the step and the latest one."""
    before = person.queue(steps=4).folder.latest_lora.read_bytes()
    folder = person.queue(stages=PLANS["8 steps"]).folder
    for step in (8, 6):
        folder.state(step).unlink()
    folder.step_lora(8).unlink()
    person.lora().write_bytes(before)
    result = person.queue(steps=6)
    assert result.losses == () and person.lora().read_bytes() == result.folder.step_lora(6).read_bytes()


def test_a_step_without_a_state_is_there_once_where_the_run_goes_on_from_another_name(person):
    """The copy lay hidden beside it, and outlived `keep_last`."""
    person.queue("nora", steps=4)
    person.queue(steps=4)
    folder = person.queue(steps=4).folder
    for path in (*folder.states().values(), folder.step_lora(2)):
        path.unlink()
    result = person.queue(steps=6, saving=SaveSettings(save_every=2, save_dtype="float32", keep_last=1))
    assert result.folder == folder and "copied from 'nora'" in result.message
    assert [path.name for path in sorted((person.loras / "mira").rglob("*.safetensors"))] == [
        "mira-step000006.safetensors", "mira.safetensors",
    ]  # fmt: skip


def test_a_latest_lora_changed_behind_a_first_save_that_died_is_set_aside(person):
    """It died before it noted the file as its own."""
    folder = person.queue(steps=2).folder
    folder.state(2).unlink()
    (folder.private / LATEST_FILE).unlink()
    lora = load_lora(person.lora())
    save_lora(person.lora(), lora.tensors, {**lora.metadata, "modelspec.description": "mine"})
    edited = person.lora().read_bytes()
    message = person.queue(steps=4).message
    assert edited in person.contents() and "mira-earlier-1.safetensors" in message


def try_until_step_5(person, steps):
    """Queues one stage, and cancels in its fifth step before anything is saved."""
    try:
        person.queue("mira", At(5, die), steps=steps)
    except Canceled:
        return


def die(job, state):
    state.is_consistent = False  # the saver writes nothing on the way out
    raise Canceled
