"""Ordinary things people do, in every order: no LoRA is gone, overwritten or hidden without a word."""

import json
import shutil
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.tests.support.person import CONSTANT, OTHER_RATE, Person, assert_equal, steps_of
from pack.tests.support.pictures import dataset
from pack.tests.support.toy_model import At, other_dataset, raising, toy_dataset
from pack.training.files.lora_file import load_lora
from pack.training.loop.job import StopTraining, TrainingDiverged
from pack.training.loop.stages import Stage
from pack.training.networks.settings import NetworkSettings
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.run.folder import current_run
from pack.training.run.picks import chosen_step, save_pick
from pack.training.run.saver import SaveSettings
from pack.training.run.stops import note_stop, stops_state
from pack.training.session.metadata import facts_of_network
from pack.training.session.request import LoraStart, ValidationSettings

pytestmark = pytest.mark.usefixtures("quick_disk")


def edited():
    found = toy_dataset()

    def change(subset):
        items = (replace(i, captions=tuple(c.replace("red", "blue") for c in i.captions)) for i in subset.items)
        return replace(subset, items=tuple(items))

    return found.map(change)


def test_a_run_of_no_steps_changes_nothing(person):
    person.queue()
    before = person.files()
    person.cancel(optimizer=OTHER_RATE)
    assert person.files() == before
    assert person.queue().message.startswith("already trained")
    assert person.files() == before


def test_the_lora_before_is_moved_at_the_first_save_and_named(person):
    first = person.queue()
    before = person.files()
    result = person.queue(optimizer=OTHER_RATE)
    assert first.folder.run_id in result.message and "mira" in result.message
    kept = {path.name: path.read_bytes() for path in first.folder.private.glob("*.safetensors")}
    assert kept == before
    back = person.queue()
    assert_equal(back.tensors, first.tensors)
    assert person.files() == before


@pytest.mark.parametrize("settings", [{}, {"optimizer": OTHER_RATE}], ids=["the same", "others"])
def test_a_file_that_no_run_owns_is_set_aside_and_named(settings, person):
    person.queue()
    before = person.files()
    shutil.rmtree(person.loras / "mira" / ".run")
    result = person.queue(**settings)
    after = person.files()
    assert set(before.values()) <= set(after.values())
    aside = next(name for name, content in after.items() if content == before["mira.safetensors"] and "earlier" in name)
    assert aside in result.message


def test_a_file_put_in_place_of_the_lora_is_not_overwritten(person):
    person.queue(steps=4)
    foreign = person.queue("other", seed=9).folder.latest_lora.read_bytes()
    person.lora().write_bytes(foreign)
    result = person.queue()
    assert foreign in person.files().values()
    assert "mira-earlier-1.safetensors" in result.message


@pytest.mark.parametrize("content", ["", "gone", None])
def test_a_damaged_marker_is_repaired(content, person):
    first = person.queue()
    before, marker = person.files(), person.loras / "mira" / ".run" / "current"
    marker.unlink() if content is None else marker.write_text(content)
    assert person.queue().message.startswith("already trained")
    assert person.files() == before
    assert current_run(person.loras / "mira") == first.folder.run_id


def test_a_damaged_marker_mixes_no_runs(person):
    first = person.queue()
    before = person.files()
    (person.loras / "mira" / ".run" / "current").write_text("")
    person.queue(optimizer=OTHER_RATE)
    kept = {path.name: path.read_bytes() for path in first.folder.private.glob("*.safetensors")}
    assert kept == before


def test_a_pick_is_kept_like_the_best(person):
    first = person.queue()
    save_pick(first.folder, 2)
    second = person.queue(saving=SaveSettings(save_every=2, save_dtype="float32", keep_last=2))
    assert 2 in second.folder.step_loras()
    more = person.queue(steps=10, saving=SaveSettings(save_every=2, save_dtype="float32", keep_last=1))
    assert set(more.folder.step_loras()) == {2, 10}
    assert chosen_step(more.folder, "picked in the strip") == 2


def test_a_renamed_run_keeps_its_pick(person):
    first = person.queue()
    save_pick(first.folder, 2)
    copy = person.queue("nora")
    assert copy.message.startswith("already trained")
    assert chosen_step(copy.folder, "picked in the strip") == 2


def test_a_canceled_start_hides_no_finished_run(person):
    first = person.queue()
    person.cancel(dataset=edited())
    going_on = person.queue(dataset=edited(), on_dataset_change="continue")
    assert f"from the weights of run {first.folder.run_id}" in going_on.message


def test_a_canceled_start_blocks_no_copy_under_a_new_name(person):
    person.cancel("nora")
    first = person.queue("mira")
    copy = person.queue("nora")
    assert "mira" in copy.message and copy.message.startswith("already trained")
    assert_equal(copy.tensors, first.tensors)


def test_fewer_steps_are_those_that_are_kept(person):
    first = person.queue(steps=12)
    wished = person.queue(steps=8)
    assert wished.losses == () and wished.step == 8
    assert_equal(wished.tensors, load_lora(first.folder.step_loras()[8]).tensors)
    again = person.queue(steps=12)
    assert again.losses == ()
    assert_equal(again.tensors, first.tensors)


def test_fewer_steps_of_which_nothing_is_kept_are_trained(person):
    person.queue(steps=6)
    wished = person.queue(steps=3)
    alone = Person(person.loras.parent / "alone").queue(steps=3)
    assert_equal(wished.tensors, alone.tensors)


def test_the_first_stage_is_kept_where_only_the_second_changes(person):
    first, second = Stage(steps=4, batch_size=2), Stage(steps=4, batch_size=2, optimizer=OTHER_RATE)
    person.queue(stages=(first, second))
    changed = (first, replace(second, optimizer=replace(OTHER_RATE, learning_rate=1e-3)))
    result = person.queue(stages=changed)
    assert len(result.losses) == 4
    alone = Person(person.loras.parent / "alone").queue(stages=changed)
    assert_equal(result.tensors, alone.tensors)


def test_a_shorter_run_of_another_name_is_copied_only_where_the_bits_are_the_same(person):
    """Its cosine came to its end after four steps; under a new name six are wanted under one cosine."""
    cosine = replace(CONSTANT, schedule=ScheduleSettings(schedule="cosine"))
    person.queue("nora", steps=4, optimizer=cosine)
    result = person.queue("mira", optimizer=cosine)
    alone = Person(person.loras.parent / "alone").queue(optimizer=cosine)
    assert_equal(result.tensors, alone.tensors)


def test_a_copy_of_a_run_takes_no_lora_of_it(person):
    """The copy has the id of the run and a number behind it."""
    whole = Stage(steps=6, batch_size=2)
    halves = (Stage(steps=4, batch_size=2), Stage(steps=2, batch_size=2, optimizer=OTHER_RATE))
    person.queue("mira", raising(1, StopTraining()), stages=(whole,))
    person.queue(steps=4)
    before = person.queue(stages=halves).folder
    last = before.step_loras()[6].read_bytes()
    after = person.queue(stages=(whole,)).folder
    assert after.run_id == f"{before.run_id}-2"
    assert before.step_loras()[6].read_bytes() == last


def test_a_diverged_runs_earlier_loras_stay(person):
    def diverge(job, state):
        raise TrainingDiverged("training diverged", good_step=3)

    with pytest.raises(TrainingDiverged):
        person.queue("mira", At(6, diverge), steps=8)
    good = {name: content for name, content in person.files().items() if "step" in name}
    assert "mira-step000002.safetensors" in good and "mira-step000006.safetensors" not in good
    person.queue(optimizer=OTHER_RATE)
    there = {path.read_bytes() for path in person.loras.rglob("*.safetensors")}
    assert set(good.values()) <= there


def test_two_stages_are_not_taken_for_one_that_is_as_long(person):
    """Five pictures in batches of two: epochs of the second stage start over, so other images meet other steps."""
    halves = tuple(Stage(steps=4, batch_size=2) for _ in range(2))
    person.queue(stages=halves)
    one = person.queue(steps=8)
    alone = Person(person.loras.parent / "alone").queue(steps=8)
    assert_equal(one.tensors, alone.tensors)


def test_the_base_models_losses_are_cut_with_the_figures(person):
    with pytest.raises(RuntimeError):
        person.queue("mira", raising(5, RuntimeError("a fault")))
    folder = next((person.loras / "mira" / ".run").glob("*/run.json")).parent
    losses = folder / "base_losses.jsonl"
    losses.write_text("".join(json.dumps({"step": step, "losses": [1.0, 1.0]}) + "\n" for step in (2, 5, 9)))
    person.queue()
    steps = [json.loads(line)["step"] for line in losses.read_text().splitlines()]
    assert 9 not in steps and 2 in steps


def test_stop_and_keep_again_at_the_same_step_is_noticed(person):
    stopped = person.queue("mira", raising(3, StopTraining()))
    note_stop(stopped.folder, 3)
    before = stops_state(person.loras / "mira")
    note_stop(stopped.folder, 3)
    assert stops_state(person.loras / "mira") != before


def test_a_folder_renamed_on_disk_is_found_with_its_steps(person):
    first = person.queue()
    (person.loras / "mira").rename(person.loras / "nora")
    result = person.queue("nora")
    assert result.losses == ()
    assert set(result.folder.step_loras()) == set(first.folder.states()) | {2, 4, 6}
    assert person.lora("nora").is_file()
    assert "mira.safetensors" not in person.files("nora")


def test_two_unicode_forms_are_one_name(person):
    composed, apart = (unicodedata.normalize(form, "mirä") for form in ("NFC", "NFD"))
    first = person.queue(composed)
    second = person.queue(apart)
    assert second.losses == ()
    assert_equal(first.tensors, second.tensors)
    assert len(list(person.loras.iterdir())) == 1


def test_a_state_that_cannot_be_read_for_a_moment_stops_in_words(person, monkeypatch):
    stopped = person.queue("mira", raising(4, StopTraining()))
    state = stopped.folder.state(4)

    def refuse(path, *_, **__):
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr("pack.training.run.state.open_tensors", refuse)
        with pytest.raises(RuntimeError, match=r"state-000004\.state"):
            person.queue()
    assert state.is_file()
    assert person.queue().message.startswith("continued from step 4")


@pytest.mark.parametrize("place", ["validating", "measuring images"])
def test_a_canceled_last_measure_is_made_up_for(place, person):
    held_out = ValidationSettings(dataset=dataset([(64, 64)], first=50), every=24)
    wanted = {"validation": held_out, "is_diagnosed": True, "steps": 24}
    stop = raising(23, KeyboardInterrupt())  # the step before, so that the first "validating" now is the last one's
    with pytest.raises(KeyboardInterrupt):
        person.queue("mira", stop, **wanted)
    person.cancel(at=place, **wanted)
    result = person.queue(**wanted)
    assert result.losses == ()
    lines = [json.loads(line) for line in result.folder.metrics.read_text().splitlines()]
    assert any(line["step"] == 24 and "validation_loss" in line for line in lines)
    assert result.folder.report.is_file()


def test_losses_of_another_validation_set_are_not_compared(person):
    first, second = (ValidationSettings(dataset=dataset([(64, 64)], first=n), every=2) for n in (50, 70))
    person.queue(steps=4, validation=first)
    folder = person.queue(steps=8, validation=second).folder
    lines = [json.loads(line) for line in folder.metrics.read_text().splitlines()]
    measured = [line for line in lines if "validation_loss" in line]
    assert len({line["validation_set"] for line in measured}) == 2
    now = {line["step"]: line["validation_loss"] for line in measured[-2:]}
    assert chosen_step(folder, "best by validation") == min(now, key=now.get)


def test_bad_weights_replace_no_good_ones(person):
    def spoil(job, state):
        next(iter(dict(job.network.named_parameters()).values())).data.fill_(float("nan"))

    good = person.queue(steps=4).folder
    with pytest.raises(TrainingDiverged):
        person.queue("mira", At(5, spoil), steps=8)
    assert all(torch.isfinite(t).all() for t in load_lora(person.lora()).tensors.values())
    assert max(good.states()) in (4, 5)
    result = person.queue(steps=8)
    assert all(torch.isfinite(t).all() for t in result.tensors.values())


def test_the_network_of_a_lora_that_is_trained_on_is_the_loras_own(person):
    """The header is written from it, whatever the Network node says."""
    loha = NetworkSettings(algorithm="loha", rank=2, include=("*middle_block*",))
    tensors = person.queue("source", network=loha).tensors
    person.queue("mira", start=LoraStart(tensors=tensors, key="x"))
    facts = facts_of_network(person.session)
    assert (facts.algorithm, facts.rank) == ("loha", 2)


def test_new_data_goes_on_and_says_what_is_kept(person):
    first = person.queue()
    before = person.files()
    result = person.queue(dataset=other_dataset(), on_dataset_change="continue")
    kept = {path.name: path.read_bytes() for path in first.folder.private.glob("*.safetensors")}
    assert kept == before and first.folder.run_id in result.message
    assert steps_of(person.lora()) == "6"


def test_nothing_visible_is_ever_lost_when_runs_take_turns(person):
    seen: set[bytes] = set()
    for rate in (1e-2, 3e-3, 1e-2, 1e-3, 3e-3):
        person.queue(steps=4, optimizer=replace(CONSTANT, learning_rate=rate))
        seen |= set(person.files().values())
    there = {path.read_bytes() for path in Path(person.loras).rglob("*.safetensors")}
    assert seen <= there


def test_a_kept_step_is_given_out_though_another_run_shares_its_beginning(person):
    """Eight steps; another second stage, ended where the first one does; six steps, which were kept of the eight."""
    first = person.queue(steps=8)
    stages = (Stage(steps=4, batch_size=2), Stage(steps=2, batch_size=2, optimizer=OTHER_RATE))
    person.queue("mira", raising(4, StopTraining()), stages=stages)
    six = person.queue(steps=6)
    assert (six.losses, six.folder.run_id) == ((), first.folder.run_id)
    assert "was kept" in six.message
