"""Files of a run that another program has open, or a disk that takes nothing for a while.

Figures, notes and pictures wait and end no run. What decides the weights, and who owns them, ends it in words.
"""

import errno
import json
from pathlib import Path

import pytest
from pack.tests.support.moments import failing_read, held
from pack.tests.support.person import OTHER_RATE, assert_equal
from pack.tests.support.toy_model import At, raising
from pack.training.loop.job import StopTraining
from pack.training.loop.rate_changes import with_change
from pack.training.run.folder import Unreadable
from pack.training.run.lines import LineFile, read_lines
from pack.training.run.picks import save_pick
from pack.training.run.record import load_record
from pack.training.run.saver import SaveFailed, SaveSettings
from pack.training.run.stops import note_stop
from pack.training.session.request import ValidationSettings
from pack.training.session.rounds import RoundNote, open_round

pytestmark = pytest.mark.usefixtures("quick_disk")

OPEN = PermissionError(13, "Permission denied")
FULL = OSError(errno.ENOSPC, "No space left on device")
MEASURED = {"validation": ValidationSettings(share=0.4, every=1), "is_diagnosed": True}
GOES_ON = ("metrics.jsonl", "base_losses.jsonl", "latest", "report.json", "pictures", "run.json", "stops", "pick.json")
"""Of a run that goes on: each held from before its queue until behind it."""


@pytest.mark.parametrize("name", GOES_ON)
def test_a_note_that_is_open_elsewhere_ends_no_run(name, person, alone):
    first = person.queue("mira", raising(3, StopTraining()), **MEASURED)
    save_pick(first.folder, 2)
    note_stop(first.folder, 3)
    LineFile(first.folder.base_losses).append({"step": 3, "losses": [1.0, 1.0]})
    with held(OPEN, name):
        result = person.queue(**MEASURED)
    undisturbed = alone.queue(**MEASURED)
    assert result.step == 6 and ("cannot be written" in result.message) == (name == "metrics.jsonl")
    assert_equal(result.tensors, undisturbed.tensors)
    assert_equal(person.queue(steps=8, **MEASURED).tensors, alone.queue(steps=8, **MEASURED).tensors)
    lines = [[{**line, "seconds": 0} for line in read_lines(found.folder.metrics)] for found in (result, undisturbed)]
    steps = [[line["step"] for line in found if "loss" in line] for found in lines]
    assert steps[0] == list(range(1, 9)) == steps[1]
    assert not list(person.loras.rglob("*.waiting"))


@pytest.mark.parametrize("error", [OPEN, FULL])
def test_figures_wait_until_the_next_queue_and_are_told_once(error, person, alone):
    with held(error, "metrics.jsonl"):
        result = person.queue(**MEASURED)
        assert result.message.count("metrics.jsonl") == 1
        assert not result.folder.metrics.exists()
        steps = [line["step"] for line in read_lines(result.folder.metrics) if "loss" in line]
        assert steps == list(range(1, 7))
    again = person.queue(**MEASURED)
    assert again.losses == () and not list(person.loras.rglob("*.waiting"))
    again = person.queue(steps=8, **MEASURED)
    assert "metrics.jsonl" not in again.message
    undisturbed = alone.queue(steps=8, **MEASURED).folder.metrics
    figures = [
        [
            {key: value for key, value in line.items() if key not in ("seconds", "total_steps")}
            for line in read_lines(file)
        ]
        for file in (again.folder.metrics, undisturbed)
    ]
    # the run alone planned eight steps from its start, so that it was not measured after six
    assert [line for line in figures[0] if "loss" in line] == [line for line in figures[1] if "loss" in line]
    assert json.loads(result.folder.metrics.read_text().splitlines()[-1])["step"] == 8


def test_figures_that_wait_are_copied_with_their_run(person):
    with held(OPEN, "metrics.jsonl"):
        person.queue()
    copied = person.queue("nora")
    assert copied.losses == ()
    assert [line["step"] for line in read_lines(copied.folder.metrics)] == list(range(1, 7))


def test_figures_of_steps_that_are_trained_again_stop_it_before_anything_is_encoded(person):
    first = person.queue("mira", raising(3, StopTraining()))
    LineFile(first.folder.metrics).append({"step": 5, "loss": 1.0})
    with held(OPEN, "metrics.jsonl"), pytest.raises(SaveFailed, match=r"metrics\.jsonl open"):
        person.queue(cancel_at="encoding images")


@pytest.mark.parametrize("name", ["current", "name"])
def test_what_says_whose_a_lora_is_stops_it_in_words(name, person):
    person.queue()
    person.loras.joinpath("mira").rename(person.loras / "nora")
    with held(OPEN, name), pytest.raises(SaveFailed, match=rf"{name} open"):
        person.queue("nora", optimizer=OTHER_RATE)
    assert person.queue("nora").losses == ()


def test_what_saving_moved_is_told_though_it_cannot_be_noted(person):
    person.queue()
    with held(OPEN, "untold"):
        result = person.queue(optimizer=OTHER_RATE)
    assert ".run/" in result.message and "queue its settings again" in result.message


def halving(saver):
    """The button that halves the learning rate, after step 3."""

    def press(job, state):
        state.rate_changes = with_change(state.rate_changes, state.step, 0.5)
        saver.keep_rates(state)

    return At(3, press)


def test_a_rate_changed_by_hand_is_noted_before_weights_of_it_are_saved(person):
    few = {"saving": SaveSettings(save_every=6, save_dtype="float32")}
    lock, said = held(OPEN, "run.json"), []

    def hold(job, state):
        lock.__enter__()

    def let_go(saver):
        def act(job, state):
            said.append(saver.told)
            lock.__exit__(None, None, None)

        return At(4, act)

    result = person.queue("mira", At(2, hold), halving, let_go, **few)
    assert any("run.json" in text for text in said[0]) and "run.json" not in result.message
    assert load_record(result.folder.record).rate_changes == ((3, 0.5),)


def test_weights_of_a_rate_that_cannot_be_noted_are_not_saved(person):
    lock = held(OPEN, "run.json")
    with pytest.raises(SaveFailed, match=r"run\.json open"):
        try:
            person.queue("mira", At(2, lambda job, state: lock.__enter__()), halving)
        finally:
            lock.__exit__(None, None, None)
    assert max(path.name for path in person.loras.rglob("*.state")) == "state-000002.state"
    assert person.queue().step == 6


def test_a_state_that_is_saved_twice_may_be_open(person):
    def save(saver):
        def twice(job, state):
            with held(OPEN, "state-000004.state"):
                saver.save(job, state)

        return At(4, twice)

    assert person.queue("mira", save).step == 6


def test_figures_that_cannot_be_read_stop_it_in_words(person, monkeypatch):
    person.queue("mira", raising(3, StopTraining()))
    monkeypatch.setattr("pathlib.Path.open", refusing("metrics.jsonl"))
    with pytest.raises(Unreadable, match=r"metrics\.jsonl cannot be read now"):
        person.queue(cancel_at="encoding images")


def refusing(name):
    open_ = Path.open

    def refuse(path, *arguments, **options):
        if path.name == name:
            raise PermissionError(13, "Permission denied", str(path))
        return open_(path, *arguments, **options)

    return refuse


def test_a_round_whose_note_cannot_be_read_is_not_taken_for_another(tmp_path):
    note = RoundNote("dataset", 3)
    first = open_round(tmp_path, "mira", note)
    first.lora.write_bytes(b"trained")
    with failing_read(1), pytest.raises(Unreadable, match=r"round\.json"):
        open_round(tmp_path, "mira", note)
    assert open_round(tmp_path, "mira", note) == first
