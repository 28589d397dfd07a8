"""Damaged, half-written and missing files: what is whole is gone on with, and nothing is mixed up."""

from pathlib import Path

import pytest
import torch
from pack.tests.toy_model import ToyBase, raising, run, toy_request, with_steps
from pack.training.files.lora_file import load_lora
from pack.training.job import StopTraining
from pack.training.run.find import make_current
from pack.training.run.folder import current_run, step_files
from pack.training.stages import Stage

BASE = ToyBase()


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: None)


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
    again = run(with_steps(request_, 6))
    assert again.message == "continued from step 3 of 6"
    assert_equal(again.tensors, whole.tensors)
    assert list(whole.folder.states()) == [3, 6]


def test_all_states_damaged_begin_anew(request_):
    whole = run(request_)
    for path in whole.folder.states().values():
        cut(path)
    again = run(request_)
    assert again.message == "new run of 4 steps"
    assert_equal(again.tensors, whole.tensors)


def test_a_damaged_record_is_no_run_and_nothing_of_it_is_overwritten(request_):
    whole = run(request_)
    whole.folder.record.write_bytes(b"{")
    before = whole.folder.state(4).read_bytes()
    again = run(request_)
    assert again.message == "new run of 4 steps"
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
        if "-step" in self.name:
            moved.append(self)
            if len(moved) == count:
                raise KeyboardInterrupt
        return original(self, target)

    monkeypatch.setattr(Path, "replace", replace_)


@pytest.mark.parametrize("count", range(1, 5))
def test_dying_while_runs_change_places_mixes_no_files(count, tmp_path, monkeypatch):
    root = tmp_path / "run"
    for run_id, steps in (("a", (1, 2)), ("b", (1, 3))):
        make_current(root, run_id)
        (root / ".run" / run_id).mkdir(parents=True, exist_ok=True)
        for step in steps:
            (root / f"run-step{step:06d}.safetensors").write_text(run_id)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        dies_at(patch, count)
        make_current(root, "a")
    for run_id, steps in (("b", [1, 3]), ("a", [1, 2]), ("b", [1, 3])):
        make_current(root, run_id)
        assert current_run(root) == run_id
        files = step_files(root, "run")
        assert list(files) == steps
        assert {path.read_text() for path in files.values()} == {run_id}
