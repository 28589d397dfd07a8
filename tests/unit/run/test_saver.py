"""What is kept on disk, and that it says what it is."""

import errno
from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import At, ToyBase, raising, run, toy_dataset, toy_request
from pack.training.files.lora_file import load_lora
from pack.training.loop.job import StopTraining
from pack.training.loop.stages import Stage
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.folder import step_files
from pack.training.run.metrics import best_step
from pack.training.run.naming import check_name, is_too_long
from pack.training.run.saver import SaveSettings
from pack.training.run.state import load_state
from pack.training.session.request import ValidationSettings

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()


def request_of(root, steps=6, **changes):
    return toy_request(root, base=BASE, stages=(Stage(steps=steps, batch_size=2),), **changes)


def test_loras_and_states_by_rule(tmp_path):
    result = run(request_of(tmp_path, 7, saving=SaveSettings(save_every=2, keep_last=2)))
    assert list(result.folder.step_loras()) == [6, 7]
    assert list(result.folder.states()) == [6, 7]
    everything = run(request_of(tmp_path / "all", 7, saving=SaveSettings(save_every=2)))
    assert list(everything.folder.step_loras()) == [2, 4, 6, 7]


def test_the_best_by_validation_is_kept_besides(tmp_path):
    request = request_of(
        tmp_path,
        6,
        saving=SaveSettings(save_every=1, keep_last=1),
        validation=ValidationSettings(share=0.4),
        optimizer=OptimizerSettings(learning_rate=0.09),
    )
    result = run(request)
    best = best_step(result.folder.metrics, range(1, 7))
    assert set(result.folder.step_loras()) == {best, 6}


def test_the_end_of_a_stage_is_saved(tmp_path):
    request = replace(request_of(tmp_path), stages=(Stage(steps=2), Stage(steps=2)), saving=SaveSettings())
    assert list(run(request).folder.step_loras()) == [2, 4]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_files_hold_the_weights_returned_in_their_format(dtype, tmp_path):
    result = run(request_of(tmp_path, 2, saving=SaveSettings(save_dtype=dtype)))
    file = load_lora(result.folder.latest_lora)
    assert file.metadata["ss_steps"] == "2"
    for name, tensor in result.tensors.items():
        assert torch.equal(file.tensors[name], tensor.to(getattr(torch, dtype)))
    assert result.folder.latest_lora.read_bytes() == result.folder.step_lora(2).read_bytes()


def test_another_format_of_a_finished_run_is_written_without_training(tmp_path):
    first = run(request_of(tmp_path, 4))
    for dtype in (torch.bfloat16, torch.float32):
        result = run(request_of(tmp_path, 4, saving=SaveSettings(save_dtype=str(dtype).removeprefix("torch."))))
        assert (result.message, result.losses) == ("already trained: 4 steps, nothing to do", ())
        for path in (result.folder.latest_lora, result.folder.step_lora(4)):
            tensors = load_lora(path).tensors
            assert all(torch.equal(tensors[name], first.tensors[name].to(dtype)) for name in first.tensors)
    before = result.folder.latest_lora.stat()
    run(request_of(tmp_path, 4, saving=SaveSettings(save_dtype="float32")))
    assert result.folder.latest_lora.stat().st_ino == before.st_ino


def test_keeping_fewer_counts_for_a_finished_run_too(tmp_path):
    folder = run(request_of(tmp_path, 6, saving=SaveSettings(save_every=2, save_dtype="float32"))).folder
    assert list(folder.step_loras()) == [2, 4, 6]
    run(request_of(tmp_path, 6, saving=SaveSettings(save_every=2, save_dtype="float32", keep_last=2)))
    assert list(folder.step_loras()) == [4, 6]


def test_loras_of_steps_that_are_made_again_push_out_none(tmp_path):
    """Both states are damaged: the run begins again while the LoRAs of its later steps still lie there."""
    saving = SaveSettings(save_every=2, keep_last=1)
    folder = run(request_of(tmp_path, 6, saving=saving)).folder
    for path in folder.states().values():
        path.write_bytes(b"torn")
    run(request_of(tmp_path, 6, saving=saving), raising(2, StopTraining()))
    assert list(folder.step_loras()) == [2, 6]


def test_states_of_later_steps_that_could_not_be_read_go_and_push_out_none(tmp_path):
    saving = SaveSettings(save_every=2)
    folder = run(request_of(tmp_path, 4, saving=saving)).folder
    for step in (6, 8):
        folder.state(step).write_bytes(b"torn")
    run(request_of(tmp_path, 6, saving=saving), raising(5, StopTraining()))
    assert list(folder.states()) == [4, 5]


def test_ema_is_what_is_saved_and_the_state_keeps_both(tmp_path):
    seen = {}

    def look(job, state):
        seen.update({name: parameter.detach().clone() for name, parameter in job.network.named_parameters()})

    request = request_of(tmp_path, 4, optimizer=OptimizerSettings(learning_rate=1e-2, ema_decay=0.9))
    result = run(request, At(4, look))
    saved = load_state(result.folder.state(4))
    name, weights = next((name, value) for name, value in seen.items() if name.endswith("lora_up"))
    average = saved.tensors[f"ema/{name}"]
    assert torch.equal(saved.tensors[f"network/{name}"], weights)
    assert not torch.equal(average, weights)
    assert torch.equal(load_lora(result.folder.latest_lora).tensors[f"{name}.weight"].squeeze(), average.squeeze())


def test_epoch_in_the_metadata_is_that_of_the_last_batch(tmp_path):
    # 5 images in two buckets: 3 + 2 of batch size 2 are 3 batches an epoch.
    result = run(request_of(tmp_path, 7, saving=SaveSettings(save_every=1)))
    epochs = [load_lora(path).metadata["ss_epoch"] for path in result.folder.step_loras().values()]
    assert epochs == ["0", "0", "0", "1", "1", "1", "2"]


def test_saving_now_changes_nothing(tmp_path):
    whole = run(request_of(tmp_path / "a"))
    stopped = run(request_of(tmp_path / "b"), At(2, lambda job, state: _stop()))
    assert list(stopped.folder.step_loras()) == [2]
    again = run(request_of(tmp_path / "b"))
    assert list(again.folder.step_loras()) == [2, 3, 6]
    assert all(torch.equal(whole.tensors[name], again.tensors[name]) for name in whole.tensors)


def _stop():
    raise StopTraining


@pytest.mark.parametrize("values", [{"save_every": 0}, {"keep_last": -1}])
def test_settings_refused_by_name(values):
    with pytest.raises(ValueError, match=next(iter(values))):
        SaveSettings(**values)


@pytest.mark.parametrize(
    "name",
    ["a/b", "..", "", " a", "a.", "con", "NUL.txt", "a\x00", "x" * 101, "a\\b", "c:d", "CONIN$", "com¹", "aux .x"],
)
def test_names_refused(name):
    with pytest.raises(ValueError, match="name"):
        check_name(name)


def test_name_too_long_for_the_system_is_refused_before_anything(tmp_path):
    """100 Chinese characters are 300 bytes; Linux takes 255 a name, the temporary file's ending included."""
    for name in ("字" * 100, "字" * 71):
        with pytest.raises(ValueError, match="name '字+'"):
            run(replace(request_of(tmp_path), root=tmp_path / name))
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    assert run(replace(request_of(tmp_path, 2), root=tmp_path / ("字" * 70))).step == 2


def test_what_windows_says_of_a_long_path_is_understood():
    too_long = FileNotFoundError(errno.ENOENT, "The system cannot find the path specified")
    too_long.winerror = 3
    assert is_too_long(too_long)
    assert not is_too_long(PermissionError(errno.EACCES, "Access is denied"))


def test_steps_are_found_whatever_case_the_name_is_typed_in(tmp_path):
    """Windows and macOS take both for one folder."""
    (tmp_path / "Mira-step000002.safetensors").touch()
    (tmp_path / "Miranda-step000003.safetensors").touch()
    assert list(step_files(tmp_path, "mira")) == [2]


@pytest.mark.parametrize("name", ["my_lora", "Ärger 2", "v1.5", "[style] x"])
def test_names_that_work(name, tmp_path):
    request = request_of(tmp_path, 2, saving=SaveSettings(save_every=1), dataset=toy_dataset())
    result = run(replace(request, root=tmp_path / check_name(name)))
    assert list(result.folder.step_loras()) == [1, 2]
