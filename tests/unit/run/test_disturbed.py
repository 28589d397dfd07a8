"""What people do to the files of a name while it trains: nothing of theirs is overwritten, nothing trained is gone."""

import os
import shutil
import time

import pytest
import torch
from pack.tests.support.cases import chosen
from pack.tests.support.moments import failing_write
from pack.tests.support.person import OTHER_RATE, assert_equal
from pack.tests.support.toy_model import At
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.loop.rate_changes import with_change
from pack.training.run.folder import RunFolder
from pack.training.run.saver import SaveFailed, SaveSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

FEW = SaveSettings(save_every=2, save_dtype="float32", keep_last=1)
FOREIGN = {"ss_session_id": "elsewhere"}


def renamed(root):
    root.rename(root.with_name("nora"))


def copied_over(root):
    """The folder goes, and another name's takes its place."""
    renamed(root)
    shutil.copytree(root.with_name("vera"), root)


def without_runs(root):
    shutil.rmtree(root / ".run")


def without_this_run(root):
    shutil.rmtree(next(path.parent for path in root.glob(".run/*/run.json")))


def without_marker(root):
    (root / ".run" / "current").unlink()


def without_figures(root):
    next(root.glob(".run/*/metrics.jsonl")).unlink()


ACTS = (renamed, shutil.rmtree, copied_over, without_runs, without_this_run, without_marker, without_figures)


@pytest.mark.parametrize("act", ACTS)
def test_what_is_trained_after_folders_were_disturbed_is_saved_in_full(act, person, alone):
    person.queue("vera", optimizer=OTHER_RATE)
    seen = set()

    def disturb(job, state):
        act(person.loras / "mira")
        seen.update(person.contents())

    result = person.queue("mira", At(3, disturb))
    assert seen <= person.contents()
    assert_equal(result.tensors, alone.queue().tensors)
    assert {"mira.safetensors", "mira-step000004.safetensors", "mira-step000006.safetensors"} <= set(person.files())
    assert max(result.folder.states()) == 6 and set(result.folder.step_loras()) >= {4, 6}
    assert act in (without_marker, without_figures) or "moved or deleted while it trained" in result.message
    again = person.queue()
    assert again.losses == () and again.message.startswith("already trained: 6 steps, nothing to do")
    assert_equal(person.queue(steps=8).tensors, alone.queue(steps=8).tensors)


@pytest.mark.parametrize("act", [renamed, shutil.rmtree, without_runs, without_this_run])
def test_what_was_disturbed_after_the_last_save_is_there_at_the_end(act, person, alone):
    result = person.queue("mira", At(6, lambda job, state: act(person.loras / "mira")))
    assert max(result.folder.states()) == 6 and result.folder.latest_lora.is_file()
    assert "moved or deleted while it trained" in result.message
    assert person.queue().losses == ()
    assert_equal(person.queue(steps=8).tensors, alone.queue(steps=8).tensors)


def test_the_folder_that_was_renamed_goes_on_under_its_name(person, alone):
    person.queue("mira", At(3, lambda job, state: renamed(person.loras / "mira")))
    assert_equal(person.queue("nora").tensors, alone.queue("nora").tensors)


def test_a_rate_changed_by_hand_is_kept_in_the_new_folder(person):
    def disturb(saver):
        def press(job, state):
            renamed(person.loras / "mira")
            state.rate_changes = with_change(state.rate_changes, state.step, 0.5)
            saver.keep_rates(state)

        return At(3, press)

    steered = person.queue("mira", disturb)
    again = person.queue()
    assert again.losses == ()
    assert_equal(again.tensors, steered.tensors)


@pytest.mark.parametrize("file", ["mira.safetensors", "mira-step000002.safetensors", "mira-step000004.safetensors"])
@pytest.mark.parametrize("header", chosen([FOREIGN, {}], [FOREIGN]))
@pytest.mark.parametrize("settings", [{}, {"saving": FEW}], ids=["all", "few"])
def test_a_lora_put_there_meanwhile_is_not_overwritten(file, header, settings, person, alone):
    path = person.loras / "mira" / file

    def put(job, state):
        save_lora(path, {"a": torch.full((1,), 7.0)}, header)

    result = person.queue("mira", At(3, put), **settings)
    again = person.queue(**settings)
    kept = [path for path in person.loras.rglob("*.safetensors") if set(load_lora(path).tensors) == {"a"}]
    assert len(kept) == 1
    assert kept[0] == path or kept[0].name in result.message + again.message
    assert_equal(again.tensors, alone.queue(**settings).tensors)


def test_a_foreign_step_is_not_copied_with_the_run(person):
    put = At(2, lambda job, state: save_lora(person.loras / "mira" / "mira-step000003.safetensors", {}, FOREIGN))
    person.queue("mira", put)
    assert set(person.queue("nora").folder.step_loras()) == {2, 4, 6}


def test_the_latest_lora_edited_meanwhile_is_kept(person):
    """By a tool that keeps its header."""

    def edit(job, state):
        file = load_lora(person.lora())
        save_lora(person.lora(), file.tensors, {**file.metadata, "modelspec.description": "mine"})

    result = person.queue("mira", At(3, edit))
    assert load_lora(person.loras / "mira" / "mira-earlier-1.safetensors").metadata["modelspec.description"] == "mine"
    assert "mira-earlier-1" in result.message


@pytest.mark.parametrize("moment", chosen(range(1, 12), range(1, 12, 3)))
def test_a_disk_that_is_full_while_a_name_is_taken_over_loses_nothing(moment, person):
    """The old run's LoRAs are in sight again with its settings, whatever the moment."""
    first = person.queue()
    seen = person.files()
    with failing_write(moment, lambda path: OSError(28, "No space left on device", str(path)), is_lasting=True):
        try:
            person.queue(optimizer=OTHER_RATE)
        except SaveFailed:
            assert set(seen.values()) <= person.contents()
    back = person.queue()
    assert back.losses == () and back.folder.run_id == first.folder.run_id
    assert seen.items() <= person.files().items()


def test_clocks_that_go_back_change_nothing(person, alone, monkeypatch):
    """The file system's times too: what is newest is older then."""
    person.queue()
    for number, path in enumerate(sorted(person.loras.rglob("*"))):
        os.utime(path, (2e9 - number, 2e9 - number))
    monkeypatch.setattr(time, "time", lambda: 1.0)
    assert person.queue().losses == ()
    assert_equal(person.queue(steps=8).tensors, alone.queue(steps=8).tensors)
    other = person.queue(optimizer=OTHER_RATE)
    assert other.message.startswith("new run")
    back = person.queue(steps=8)
    assert back.losses == () and isinstance(back.folder, RunFolder)
