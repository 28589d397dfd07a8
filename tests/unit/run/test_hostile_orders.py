"""Orders of ordinary actions that nobody listed beforehand: nothing is gone, overwritten or passed over in silence."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.tests.support.cases import chosen
from pack.tests.support.moments import failing_write
from pack.tests.support.person import CONSTANT, OTHER_RATE, Canceled, assert_equal
from pack.tests.support.toy_model import other_dataset, raising, toy_dataset
from pack.tests.support.wishes import COSINE, HELD_OUT, larger_dataset
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.loop.job import StopTraining
from pack.training.loop.stages import Stage
from pack.training.run.disk import disk_use
from pack.training.run.lock import locked
from pack.training.run.saver import SaveFailed, SaveSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

FEW = SaveSettings(save_every=2, save_dtype="float32", keep_last=1)


def test_what_is_set_aside_twice_gets_two_names(person):
    """Brackets mean something in patterns of file names."""
    name, seen = "mira [2]", set()
    for optimizer in (CONSTANT, OTHER_RATE, COSINE):
        person.queue(name, optimizer=optimizer)
        seen |= set(person.files(name).values())
        shutil.rmtree(person.loras / name / ".run")
    assert seen <= person.contents()


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
    assert edited in person.contents()
    assert settings or "mira-earlier-1.safetensors" in told or edited in person.files().values()


def test_a_foreign_file_in_place_of_a_step_is_not_given_out_for_it(person, alone):
    person.queue(steps=8)
    step = person.loras / "mira" / "mira-step000004.safetensors"
    save_lora(step, load_lora(alone.queue(steps=4, seed=9).folder.latest_lora).tensors, {"ss_session_id": "elsewhere"})
    foreign = step.read_bytes()
    assert_equal(person.queue(steps=4).tensors, alone.queue(steps=4).tensors)
    assert foreign in person.contents()


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
        patched.setattr("pack.training.run.aside.copy_atomic", full)
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
            assert seen <= person.contents()
    told = person.queue(optimizer=OTHER_RATE).message
    assert seen <= person.contents()
    assert person.files() == {} or first.folder.run_id in told or "already" in told


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
    assert plain | average <= person.contents()


def test_a_stop_and_other_data_lose_no_step(person):
    stopped = person.queue("mira", raising(3, StopTraining()))
    seen = set(person.files().values())
    person.queue(dataset=other_dataset())
    assert seen <= person.contents()
    rest = person.queue(dataset=toy_dataset())
    assert rest.message.startswith("continued from step 3 of 6") and stopped.folder.run_id == rest.folder.run_id


NOTES = ("current", "name", "untold", "ID/run.json", "ID/stops", "ID/pictures", "ID/latest", "ID/left", "ID/pick.json")
FIGURES = ("ID/metrics.jsonl", "ID/base_losses.jsonl", "ID/report.json")


@pytest.mark.parametrize("note", [*NOTES, *FIGURES])
@pytest.mark.parametrize("damage", chosen([b"\xff\xfe\x80", bytes(64)], [b"\xff\xfe\x80"]))
def test_bytes_that_a_disk_left_in_a_note_end_no_queue(note, damage, person):
    folder = person.queue().folder
    before = person.contents()
    (folder.root / ".run" / note.replace("ID", folder.run_id)).write_bytes(damage)
    for settings in ({}, {"steps": 8}, {"optimizer": OTHER_RATE}):
        person.queue(**settings)
        assert before <= person.contents()


@pytest.mark.parametrize("path", [".run", ".run/lock"])
def test_what_is_no_run_folder_is_refused_in_words(path, person):
    root = person.loras / "mira"
    if path == ".run":
        root.mkdir(parents=True)
        (root / path).touch()
    else:
        (root / path).mkdir(parents=True)
    with pytest.raises(SaveFailed, match="'mira'"):
        person.queue()
