"""Defaults of the Train node: previews of a run, their sheet, the checkpoint's name."""

import errno
from types import SimpleNamespace

import pytest
import torch
from pack.tests.support.toy_model import toy_request
from pack.training.loop.job import TrainState
from pack.training.loop.stages import Stage
from pack.training.run.folder import RunFolder
from pack.training.watch.control import RunControl
from pack.training.watch.previews import Previewer, PreviewSettings

pytestmark = pytest.mark.comfy


def test_previews_where_none_are_asked_for_come_four_times_a_run(comfy, tmp_path):
    from pack.nodes.training.train import default_preview

    preview = default_preview(toy_request(tmp_path))
    assert preview.every is None
    assert preview.prompts == ("creature, red, big, number 0", "creature, red, big, number 1")


def sheet_of(tmp_path, steps, width):
    """The sheet of two prompts; a picture is (step / 50) gray under the first, black under the second."""
    from pack.nodes.comfy_bridge.preview_store import PreviewStore, preview_sheet

    store = PreviewStore(RunFolder(tmp_path, "run"), PreviewSettings(prompts=("a", "b")))
    for step in steps:
        store.save(step, [torch.full((16, width, 3), step / 50), torch.zeros(16, width, 3)])
    return preview_sheet(store)


def test_previews_drawn_before_there_were_strengths_are_found_again(comfy, tmp_path):
    from pack.nodes.comfy_bridge.preview_store import PreviewStore

    asked = PreviewSettings(prompts=("fox", "cat"), width=64, height=64, cfg=7.0, sampler="euler")
    assert PreviewStore(RunFolder(tmp_path, "run"), asked).key == "00f6fb4336a3"


def test_sheet_of_few_previews_shows_all_as_they_are(comfy, tmp_path):
    sheet = sheet_of(tmp_path, [0, 10, 50], 24)
    assert sheet.shape == (1, 32, 72, 3)
    assert sheet[0, 0, ::24, 0].tolist() == pytest.approx([0.0, 0.2, 1.0], abs=1 / 255)
    assert sheet[0, 16:].max() == 0


def test_sheet_of_many_previews_stays_small_and_spans_the_run(comfy, tmp_path):
    sheet = sheet_of(tmp_path, range(51), 1024)
    assert sheet.shape == (1, 16, 8192, 3)
    shown = (sheet[0, 4, 256::512, 0] * 50).round().tolist()
    assert len(shown) == 16
    assert (shown[0], shown[-1]) == (0, 50)
    assert {b - a for a, b in zip(shown, shown[1:], strict=False)} <= {3, 4}


def test_a_sheet_is_made_of_the_pictures_that_can_be_read(comfy, tmp_path):
    from pack.nodes.comfy_bridge.preview_store import PreviewStore, preview_sheet

    sheet_of(tmp_path, [0, 10, 20, 50], 24)
    store = PreviewStore(RunFolder(tmp_path, "run"), PreviewSettings(prompts=("a", "b")))
    store.path(10, 1).write_bytes(b"half a picture")
    store.path(20, 0).unlink()
    assert store.done() == [0, 10, 50]
    assert preview_sheet(store)[0, 0, ::24, 0].tolist() == pytest.approx([0.0, 1.0], abs=1 / 255)
    for step in (0, 50):
        store.path(step, 0).write_bytes(b"")
    assert preview_sheet(store).shape == (1, 64, 64, 3)


def test_previews_that_a_full_disk_refuses_are_shown_and_named(comfy, tmp_path, monkeypatch):
    from pack.nodes.comfy_bridge import host_callbacks, preview_store

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    store = preview_store.PreviewStore(RunFolder(tmp_path, "run"), PreviewSettings(prompts=("a",)))
    monkeypatch.setattr(preview_store, "write_atomic", full)
    progress, events = SimpleNamespace(update=lambda *_: None), SimpleNamespace(send=lambda *_: None)
    shown = host_callbacks.ShownPreviews(store, progress, events, 9)
    previewer = Previewer(store.settings, lambda *_: torch.zeros(16, 16, 3), shown, RunControl(), end=3)
    previewer.on_failure = shown.fail
    previewer._draw(3, SimpleNamespace(network=SimpleNamespace(strength=1.0)), TrainState(step=3))
    assert "step 3" in shown.failure and "No space" in shown.failure
    assert shown.take_picture() is not None and shown.step == -1, "no LoRA is saved for pictures that nobody can pick"


def test_cancel_while_drawing_is_no_failed_picture(comfy, tmp_path):
    from comfy.model_management import InterruptProcessingException
    from pack.nodes.comfy_bridge.host_callbacks import ShownPreviews

    with pytest.raises(InterruptProcessingException):
        ShownPreviews(None, None, None, 9).fail(3, InterruptProcessingException())


def test_a_lowered_loss_scale_is_said_once(comfy, caplog):
    from pack.nodes.comfy_bridge.host_callbacks import HostProgress

    lines = []
    progress = SimpleNamespace(update=lambda *_: None, text=lines.append)
    shown = SimpleNamespace(failure="", take_picture=lambda: None)
    events, saver = SimpleNamespace(step=lambda *_: None), SimpleNamespace(saved_step=0, told=[])
    job = SimpleNamespace(total_steps=9, base=SimpleNamespace(loss_scale=65536.0, device=torch.device("cpu")))
    callback = HostProgress(progress, events, "a new run", saver, shown)
    state = TrainState(step=5)
    callback.on_start(job, state)
    for step, scale in ((6, None), (7, 4096.0), (8, 256.0)):
        state.step, state.loss_scale = step, scale
        report = SimpleNamespace(step=step, loss=1.0, seconds=0.1, is_left_out=False)
        callback.on_step(job, state, report)
    callback.on_end(job, state, None)
    assert ["4096" in line for line in lines] == [False, True, True], "it stays beside the figures"
    assert [record.message.count("65536") for record in caplog.records] == [1]


def test_name_of_the_checkpoint_where_the_host_knows_it(comfy):
    from pack.nodes.comfy_bridge.model.layer_checks import checkpoint_name

    assert checkpoint_name(SimpleNamespace(cached_patcher_init=(print, ("models/base.safetensors",)))) == (
        "base.safetensors"
    )
    assert checkpoint_name(SimpleNamespace(cached_patcher_init=None)) is None
    assert checkpoint_name(SimpleNamespace()) is None


def test_stages_in_place_of_the_nodes_own_length_are_named(comfy):
    from pack.nodes.training.train import overruled_note

    own = {"steps": 1000, "batch_size": 1}
    assert overruled_note(own) == overruled_note({**own, "stages": None}) == ""
    assert "steps (1000) and batch_size (1) of this node are not used" in overruled_note(
        {**own, "stages": (Stage(steps=400),)}
    )
