"""Damaged, half-written and missing files: what is whole is gone on with, and nothing is mixed up."""

import weakref
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pack.tests.support.toy_model import At, ToyBase, raising, run, toy_dataset, toy_request, with_steps
from pack.training.files.lora_file import load_lora, save_lora
from pack.training.loop.job import Callback, StopTraining
from pack.training.loop.stages import Stage
from pack.training.run.folder import RunFolder, current_run, lora_files, step_files
from pack.training.run.name import RUN_KEY, take_name
from pack.training.run.record import RunRecord, save_record
from pack.training.run.saver import SaveFailed, SaveSettings
from pack.training.run.state import load_state

pytestmark = pytest.mark.usefixtures("quick_disk")

BASE = ToyBase()


@pytest.fixture
def request_(tmp_path):
    return toy_request(tmp_path, base=BASE, stages=(Stage(steps=4, batch_size=2),))


def assert_equal(a, b):
    assert set(a) == set(b)
    assert all(torch.equal(a[name], b[name]) for name in a)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


def empty(path: Path) -> None:
    path.write_bytes(b"")


def zeros(path: Path) -> None:
    """What some file systems leave of a file whose data never reached the disk."""
    path.write_bytes(bytes(path.stat().st_size))


@pytest.mark.parametrize("damage", [cut, flip_a_bit, empty, zeros, Path.unlink])
def test_a_damaged_state_falls_back_to_the_one_before(damage, request_):
    whole = run(with_steps(request_, 6))
    damage(whole.folder.state(6))
    said = "" if damage is Path.unlink else "; the state of step 6 on the disk is damaged"
    again = run(with_steps(request_, 6))
    assert again.message == f"continued from step 3 of 6{said}"
    assert_equal(again.tensors, whole.tensors)
    assert list(whole.folder.states()) == [3, 6]


def test_all_states_damaged_start_over(request_):
    whole = run(request_)
    for path in whole.folder.states().values():
        cut(path)
    again = run(request_)
    assert again.message == "new run of 4 steps; the state of step 4 on the disk is damaged"
    assert_equal(again.tensors, whole.tensors)


def test_a_damaged_record_is_no_run_and_nothing_of_it_is_overwritten(request_):
    whole = run(request_)
    whole.folder.record.write_bytes(b"{")
    before = whole.folder.state(4).read_bytes()
    again = run(request_)
    assert again.message.startswith("new run of 4 steps")
    assert again.folder.run_id == f"{whole.folder.run_id}-2"
    assert whole.folder.state(4).read_bytes() == before


def test_half_written_files_are_ignored_and_removed(request_):
    stopped = run(request_, raising(2, StopTraining()))
    private = stopped.folder.private
    leftovers = [
        request_.root / ".run.safetensors.0123abcd.bakery-tmp",
        private / ".state-000004.state.0123abcd.bakery-tmp",
        request_.root / ".run" / ".current.0123abcd.bakery-tmp",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    assert run(request_).message == "continued from step 2 of 4"
    assert not any(path.exists() for path in leftovers)


def test_a_missing_or_foreign_latest_lora_is_written_again(request_):
    result = run(request_)
    for damage in (Path.unlink, cut):
        damage(result.folder.latest_lora)
        run(request_)
        assert_equal(load_lora(result.folder.latest_lora).tensors, result.tensors)


def dies_at(monkeypatch, count):
    """Makes the count-th move of a LoRA fail."""
    original, moved = Path.replace, []

    def replace_(self, target):
        if self.suffix == ".safetensors":
            moved.append(self)
            if len(moved) == count:
                raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace_)


def begin(root, run_id):
    """A run as its record makes it known; it takes the name."""
    folder = RunFolder(root, run_id)
    save_record(folder.record, RunRecord(base="", dataset="", segments=(), description={}))
    take_name(folder)


def write(path, run_id):
    save_lora(path, {"a": torch.zeros(1)}, {RUN_KEY: run_id})


def writer(path):
    return load_lora(path).metadata[RUN_KEY]


@pytest.mark.parametrize("count", range(1, 7))
def test_dying_while_runs_change_places_mixes_no_files(count, tmp_path, monkeypatch):
    root = tmp_path / "run"
    for run_id, steps in (("a", (1, 2)), ("b", (1, 3))):
        begin(root, run_id)
        for step in steps:
            write(root / f"run-step{step:06d}.safetensors", run_id)
        write(root / "run.safetensors", run_id)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        dies_at(patch, count)
        take_name(RunFolder(root, "a"))
    for run_id, steps in (("b", [1, 3]), ("a", [1, 2]), ("b", [1, 3])):
        take_name(RunFolder(root, run_id))
        assert current_run(root) == run_id
        files = step_files(root, "run")
        assert list(files) == steps
        assert {writer(path) for path in (*files.values(), root / "run.safetensors")} == {run_id}


@contextmanager
def in_use(monkeypatch, *names):
    """Inside, files of these names in the top folder are open elsewhere, as Windows sees it."""
    replace_, unlink = Path.replace, Path.unlink

    def refuse(path):
        if path.name in names and path.parent.parent.name != ".run":
            raise PermissionError(13, "used by another process")

    def guarded_replace(self, target):
        refuse(self)
        refuse(Path(target))
        return replace_(self, target)

    def guarded_unlink(self, missing_ok=False):
        refuse(self)
        unlink(self, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", guarded_replace)
        patch.setattr(Path, "unlink", guarded_unlink)
        yield


def test_loras_that_are_open_elsewhere_are_copied_and_removed_later(tmp_path, monkeypatch, caplog):
    root = tmp_path / "run"
    names = ("run-step000001.safetensors", "run-step000002.safetensors", "run.safetensors")
    begin(root, "a")
    for name in names:
        write(root / name, "a")
    with in_use(monkeypatch, names[0], names[2]):
        begin(root, "b")
        assert [path.name for path in lora_files(root / ".run" / "a", "run")] == list(names)
        assert [path.name for path in lora_files(root, "run")] == [names[0], names[2]]
        begin(root, "c")
    assert "cannot be moved" in caplog.text
    take_name(RunFolder(root, "b"))
    assert lora_files(root, "run") == lora_files(root / ".run" / "b", "run") == []
    take_name(RunFolder(root, "a"))
    assert [(path.name, writer(path)) for path in lora_files(root, "run")] == [(name, "a") for name in names]
    assert not list(root.rglob("left"))


def test_the_latest_lora_is_that_of_the_current_run(request_):
    first = run(request_)
    stopped = run(replace(request_, seed=6), raising(1, StopTraining()))
    kept = first.folder.private / first.folder.latest_lora.name
    assert_equal(load_lora(kept).tensors, first.tensors)
    assert_equal(load_lora(first.folder.latest_lora).tensors, stopped.tensors)
    with pytest.raises(KeyboardInterrupt):
        run(replace(request_, seed=7), Dies())
    assert_equal(load_lora(first.folder.latest_lora).tensors, stopped.tensors)


class Dies(Callback):
    """Callback that ends a run before its first step."""

    def on_start(self, job, state):
        raise KeyboardInterrupt


def test_a_latest_lora_that_is_open_elsewhere_is_named_and_written_later(request_, monkeypatch):
    latest = request_.root / "run.safetensors"
    first = run(request_, raising(3, StopTraining()))
    with in_use(monkeypatch, latest.name):
        result = run(request_)
    assert result.step == 4
    assert f"{latest.name} is open in another program" in result.message
    assert_equal(load_lora(latest).tensors, first.tensors)
    assert_equal(load_lora(result.folder.step_lora(4)).tensors, result.tensors)
    assert list(result.folder.states()) == [3, 4]
    assert "is open" not in run(request_).message
    assert_equal(load_lora(latest).tensors, result.tensors)


def test_a_folder_that_cannot_be_written_ends_the_run(request_, monkeypatch):
    with in_use(monkeypatch, "run-step000003.safetensors"), pytest.raises(SaveFailed, match="step 3 of 'run'"):
        run(request_)


def test_a_folder_that_cannot_be_written_is_named_before_anything_is_trained(request_):
    said = "nothing can be written for 'run': "
    request_.root.write_text("a file where the folder should be")
    with pytest.raises(SaveFailed, match=said):
        run(request_)
    request_.root.unlink()
    assert run(request_).message == "new run of 4 steps"


def test_files_that_cannot_be_deleted_end_no_run(request_, monkeypatch, caplog):
    caplog.set_level("INFO")
    request = replace(request_, saving=SaveSettings(save_every=1, keep_last=1))
    run(with_steps(request, 3), raising(1, StopTraining()))
    with in_use(monkeypatch, "run-step000001.safetensors"):
        result = run(with_steps(request, 3))
    assert list(result.folder.step_loras()) == [1, 3]
    assert "run-step000001.safetensors cannot be deleted now" in caplog.text
    assert list(run(with_steps(request, 4)).folder.step_loras()) == [4]


def test_a_state_read_back_is_free_of_its_file(request_):
    path = (result := run(request_)).folder.state(result.step)
    saved = load_state(path)
    before = {name: tensor.clone() for name, tensor in saved.tensors.items()}
    with path.open("rb+") as file:
        file.write(bytes(path.stat().st_size))
    assert_equal(saved.tensors, before)


@pytest.mark.parametrize("change", [{}, {"dataset": toy_dataset(tag_dropout=0.1), "on_dataset_change": "continue"}])
def test_a_state_is_not_kept_in_memory_once_it_is_restored(change, request_, monkeypatch):
    run(request_)
    tensors, alive = [], []

    def watched(path):
        saved = load_state(path)
        tensors.extend(weakref.ref(tensor) for tensor in saved.tensors.values())
        return saved

    monkeypatch.setattr("pack.training.run.find.load_state", watched)
    run(with_steps(replace(request_, **change), 6), At(6, lambda job, state: alive.extend(ref() for ref in tensors)))
    assert alive and not any(tensor is not None for tensor in alive)
