"""One line a step; broken and later lines go."""

import errno
import json
import resource
import signal
from dataclasses import asdict
from pathlib import Path

import pytest
from pack.tests.support.moments import held
from pack.tests.support.toy_runs import exit_code, forked
from pack.training.files import atomic
from pack.training.loop.report import SampleLoss, StepReport
from pack.training.run.folder import waiting_file
from pack.training.run.lines import LineFile, cut_lines, read_lines
from pack.training.run.metrics import best_step


def report(step: int) -> StepReport:
    return StepReport(
        step=step, total_steps=9, stage=0, epoch=0, loss=0.5 / step, unweighted_loss=0.5, grad_norm=1.0,
        learning_rates={"unet": 1e-4}, samples=(SampleLoss(0, 10, 0.5),), seconds=0.1,
    )  # fmt: skip


def test_cut_back_to_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in range(1, 6):
        LineFile(path).append(asdict(report(step)))
        LineFile(path).append({"step": step, "validation_loss": 1.0})
    cut_lines(path, 3)
    assert [line["step"] for line in read_lines(path)] == [1, 1, 2, 2, 3, 3]
    assert next(read_lines(path))["samples"] == [{"image_id": 0, "timestep": 10, "loss": 0.5, "is_kept": False}]


def test_on_windows_figures_wait_for_a_program_that_has_them_open(tmp_path, monkeypatch):
    """A virus scanner, or a program that keeps folders in step, looks at a file whenever it changes."""
    path, open_, calls = tmp_path / "metrics.jsonl", Path.open, []

    def busy(self, *mode, **options):
        calls.append(self)
        if len(calls) % 3:
            raise PermissionError(13, "Permission denied", str(self))
        return open_(self, *mode, **options)

    monkeypatch.setattr(atomic, "_WAIT_S", 0.0)
    monkeypatch.setattr(atomic, "is_windows", lambda: True)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", busy)
        file = LineFile(path)
        file.append(asdict(report(1)))
        file.keep()
    assert [line["step"] for line in read_lines(path)] == [1]


def test_a_line_cut_by_a_crash_harms_no_other(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        LineFile(path).append(asdict(report(step)))
    whole = path.read_bytes()
    for size in range(len(whole) // 2 + 1, len(whole)):
        path.write_bytes(whole[:size])
        cut_lines(path, 2)
        LineFile(path).append(asdict(report(3)))
        assert [line["step"] for line in read_lines(path)] in ([1, 3], [1, 2, 3])


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError(errno.ENOSPC, "No space left")])
def test_lines_wait_while_a_file_cannot_be_written(error, tmp_path):
    """A spreadsheet shows it; a process that dies then loses none of them."""
    path = tmp_path / "metrics.jsonl"
    file = LineFile(path)
    file.append({"step": 1})
    with held(error, path.name):
        for step in (2, 3):
            file.append({"step": step})
        file.keep()
        assert path.name in file.trouble and error.strerror in file.trouble
        assert [line["step"] for line in read_lines(path)] == [1, 2, 3]
        file.append({"step": 4})
        again = LineFile(path)
        again.append({"step": 4})
    again.append({"step": 5})
    assert not again.trouble and not waiting_file(path).exists()
    assert [json.loads(line)["step"] for line in path.read_text().splitlines()] == [1, 2, 3, 4, 5]


def test_lines_that_were_added_before_a_process_died_are_added_once(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1}\n{"step":2}\n')
    waiting_file(path).write_text('{"step":2}\n')
    assert [line["step"] for line in read_lines(path)] == [1, 2]
    LineFile(path).append({"step": 3})
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3]
    assert not waiting_file(path).exists()


def test_half_a_line_on_a_full_disk_is_taken_back(tmp_path):
    path = tmp_path / "metrics.jsonl"

    def body():
        file = LineFile(path)
        file.append({"step": 1})
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 5, hard))
        file.append({"step": 2})
        assert path.read_text() == '{"step":1}\n' and file.trouble
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        file.append({"step": 3})

    assert exit_code(forked(body)) == 0
    assert [line["step"] for line in read_lines(path)] == [1, 2, 3]


def test_cutting_writes_nothing_where_nothing_goes(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        LineFile(path).append({"step": step})
    with held(PermissionError(13, "Permission denied"), path.name):
        cut_lines(path, 2)
        with pytest.raises(PermissionError):
            cut_lines(path, 1)


@pytest.mark.parametrize("line", ["[1]", "7", "null", '{"loss": 1}', '{"step": "1"}'])
def test_what_a_hand_has_written_is_left_out(line, tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(f'{{"step":1}}\n{line}\n{{"step":2}}\n')
    assert [line["step"] for line in read_lines(path)] == [1, 2]
    cut_lines(path, 1)
    assert path.read_text() == '{"step":1}\n'


def test_nothing_there(tmp_path):
    cut_lines(tmp_path / "metrics.jsonl", 3)
    assert not list(tmp_path.iterdir())
    assert list(read_lines(tmp_path / "metrics.jsonl")) == []
    assert best_step(tmp_path / "metrics.jsonl", [1, 2]) is None


def test_best_by_validation_among_the_steps_asked_for(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step, loss in ((1, 0.3), (2, 0.1), (3, 0.2)):
        LineFile(path).append({"step": step, "validation_loss": loss})
    assert best_step(path, [1, 2, 3]) == 2
    assert best_step(path, [1, 3, 4]) == 3
    assert best_step(path, [4]) is None
