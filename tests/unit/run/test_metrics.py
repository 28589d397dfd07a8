"""One line a step; broken and later lines go."""

from pathlib import Path

from pack.training.files import atomic
from pack.training.loop.report import SampleLoss, StepReport
from pack.training.run.metrics import append_line, append_metrics, best_step, cut_metrics, read_metrics, sync_metrics


def report(step: int) -> StepReport:
    return StepReport(
        step=step, total_steps=9, stage=0, epoch=0, loss=0.5 / step, unweighted_loss=0.5, grad_norm=1.0,
        learning_rates={"unet": 1e-4}, samples=(SampleLoss(0, 10, 0.5),), seconds=0.1,
    )  # fmt: skip


def test_cut_back_to_a_step(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in range(1, 6):
        append_metrics(path, report(step))
        append_line(path, {"step": step, "validation_loss": 1.0})
    cut_metrics(path, 3)
    assert [line["step"] for line in read_metrics(path)] == [1, 1, 2, 2, 3, 3]
    assert next(read_metrics(path))["samples"] == [{"image_id": 0, "timestep": 10, "loss": 0.5, "is_kept": False}]


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
        append_metrics(path, report(1))
        sync_metrics(path)
    assert [line["step"] for line in read_metrics(path)] == [1]


def test_a_line_cut_by_a_crash_harms_no_other(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step in (1, 2):
        append_metrics(path, report(step))
    whole = path.read_bytes()
    for size in range(len(whole) // 2 + 1, len(whole)):
        path.write_bytes(whole[:size])
        cut_metrics(path, 2)
        append_metrics(path, report(3))
        assert [line["step"] for line in read_metrics(path)] in ([1, 3], [1, 2, 3])


def test_nothing_there(tmp_path):
    cut_metrics(tmp_path / "metrics.jsonl", 3)
    assert not list(tmp_path.iterdir())
    assert list(read_metrics(tmp_path / "metrics.jsonl")) == []
    assert best_step(tmp_path / "metrics.jsonl", [1, 2]) is None


def test_best_by_validation_among_the_steps_asked_for(tmp_path):
    path = tmp_path / "metrics.jsonl"
    for step, loss in ((1, 0.3), (2, 0.1), (3, 0.2)):
        append_line(path, {"step": step, "validation_loss": loss})
    assert best_step(path, [1, 2, 3]) == 2
    assert best_step(path, [1, 3, 4]) == 3
    assert best_step(path, [4]) is None
