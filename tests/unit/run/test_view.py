"""A run seen from outside: figures thinned without loss of their mean, previews listed when whole, picks that hold."""

import json
from dataclasses import asdict, replace

import pytest
from pack.training.loop.report import SampleLoss, StepReport
from pack.training.run.charts import draw_run, smooth
from pack.training.run.folder import RunFolder
from pack.training.run.identity import Segment
from pack.training.run.lines import LineFile
from pack.training.run.picks import chosen_step, forget_pick, load_pick, picks_state, save_pick
from pack.training.run.record import RunRecord, save_record
from pack.training.run.view import preview_sets, read_curves, run_view


def report(step, loss):
    return StepReport(
        step=step, total_steps=50, stage=0, epoch=step // 10, loss=loss, unweighted_loss=loss, grad_norm=1.0,
        learning_rates={"unet": 1e-4, "text": 2e-4}, samples=(SampleLoss(0, step * 19 % 1000, loss),), seconds=0.5,
    )  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path / "loras" / "fox", "0123456789ab")
    folder.private.mkdir(parents=True)
    (folder.root / ".run" / "current").write_text(folder.run_id)
    return folder


def save_steps(folder, *steps):
    for step in steps:
        folder.step_lora(step).write_bytes(b"")


def test_curves_keep_steps_and_what_was_noted(folder):
    for step in range(1, 51):
        LineFile(folder.metrics).append(asdict(report(step, 1.0 / step)))
    LineFile(folder.metrics).append({"step": 50, "validation_loss": 0.25})
    curves = read_curves(folder.metrics)
    assert curves.step == list(range(1, 51))
    assert curves.loss == [1.0 / step for step in range(1, 51)]
    assert (curves.learning_rate[-1], curves.rate, curves.validation) == (2e-4, 2.0, [(50, 0.25)])


def test_rates_changed_by_hand_are_shown_as_far_as_the_run_is(folder):
    for step in range(1, 21):
        LineFile(folder.metrics).append(asdict(report(step, 1.0)))
    segments = (Segment(0, "key", 50, depends_on_length=False),)
    changes = ((5, 0.5), (20, 0.5), (40, 2.0))
    record = RunRecord(base="b", dataset="d", segments=segments, description={})
    save_record(folder.record, replace(record, rate_changes=changes))
    view = run_view(folder)
    assert view["rates"] == [(5, 0.5), (20, 0.25)]
    assert view["fingerprint"] == replace(record, rate_changes=changes[:1]).fingerprint(20) != record.fingerprint(20)


@pytest.mark.parametrize("num_steps", [1, 7, 8, 9, 100, 101])
def test_thinned_curves_are_few_end_with_the_last_step_and_keep_the_mean(folder, num_steps):
    losses = [float((step * 7) % 13) for step in range(num_steps)]
    for step, loss in enumerate(losses, start=1):
        LineFile(folder.metrics).append(asdict(report(step, loss)))
    curves = read_curves(folder.metrics, max_points=8)
    assert len(curves.step) == len(curves.loss) == len(curves.epoch) <= 8
    assert curves.step[-1] == curves.num_steps == num_steps
    widths = [end - start for start, end in zip([0, *curves.step], curves.step, strict=False)]
    assert sum(width * loss for width, loss in zip(widths, curves.loss, strict=True)) == pytest.approx(sum(losses))


def test_numbers_that_json_lacks_become_null(folder):
    LineFile(folder.metrics).append(asdict(report(1, float("nan"))))
    assert json.loads(json.dumps(run_view(folder), allow_nan=False))["curves"]["loss"] == [None]


def test_previews_are_listed_when_all_prompts_are_there(folder):
    place = folder.previews / "abcdefabcdef"
    place.mkdir(parents=True)
    (place / "settings.json").write_text(json.dumps({"prompts": ["a", "<b>"], "width": 64, "height": 32}))
    for name in ("step000000-00.png", "step000000-01.png", "step000010-00.png", "other.png"):
        (place / name).write_bytes(b"")
    (folder.previews / "not a set").mkdir()
    (found,) = preview_sets(folder)
    assert (found["key"], found["steps"], found["prompts"], found["width"]) == ("abcdefabcdef", [0], ["a", "<b>"], 64)


def test_previews_at_several_strengths_are_a_row_each(folder):
    place = folder.previews / "abcdefabcdef"
    place.mkdir(parents=True)
    (place / "settings.json").write_text(json.dumps({"prompts": ["a", "b"], "strengths": [0.6, 1.0]}))
    for row in range(4):
        (place / f"step000000-{row:02d}.png").write_bytes(b"")
    (place / "step000010-00.png").write_bytes(b"")
    (found,) = preview_sets(folder)
    assert (found["prompts"], found["strengths"]) == (["a", "a", "b", "b"], [0.6, 1.0, 0.6, 1.0])
    assert found["steps"] == [0]


def test_pick_needs_a_saved_step_and_ends_with_its_file(folder):
    save_steps(folder, 10, 20)
    with pytest.raises(ValueError, match=r"step.*10, 20.*15"):
        save_pick(folder, 15)
    before = picks_state(folder.root.parent)
    save_pick(folder, 10)
    assert picks_state(folder.root.parent) != before
    assert (load_pick(folder).step, load_pick(folder).picked_at) == (10, 20)
    assert run_view(folder)["pick"] == 10
    folder.step_lora(10).unlink()
    assert load_pick(folder) is None
    forget_pick(folder)
    assert picks_state(folder.root.parent) == before


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": 1}', '{"step": 10, "picked_at": 20, "more": 1}'])
def test_a_broken_pick_is_none(folder, text):
    save_steps(folder, 10)
    (folder.private / "pick.json").write_text(text)
    assert load_pick(folder) is None


def test_rules_choose_a_step(folder):
    with pytest.raises(ValueError, match="no saved LoRA yet"):
        chosen_step(folder, "last")
    save_steps(folder, 10, 20, 30)
    assert chosen_step(folder, "last") == 30
    assert chosen_step(folder, "picked in the strip") == 30
    save_pick(folder, 20)
    assert chosen_step(folder, "picked in the strip") == 20
    assert chosen_step(folder, "step", 10) == 10
    with pytest.raises(ValueError, match="step"):
        chosen_step(folder, "step", 11)
    with pytest.raises(ValueError, match="was validated"):
        chosen_step(folder, "best by validation")
    for step, loss in ((10, 0.3), (20, 0.1), (25, 0.01), (30, 0.2)):
        LineFile(folder.metrics).append({"step": step, "validation_loss": loss})
    assert chosen_step(folder, "best by validation") == 20


def test_charts_of_a_run(folder):
    empty = draw_run(folder.metrics, 400, 128, is_log=False)
    assert empty.size == (400, 128)
    for step in range(1, 41):
        LineFile(folder.metrics).append(asdict(report(step, 1.0 / step)))
    without = draw_run(folder.metrics, 400, 128, is_log=True)
    assert without.size == (400, 4 * 128)
    LineFile(folder.metrics).append({"step": 40, "validation_loss": 0.1})
    assert draw_run(folder.metrics, 400, 128, is_log=True).tobytes() != without.tobytes()


def test_smoothing_is_the_weighted_mean():
    values = [3.0, 1.0, 4.0, 1.0, 5.0]
    for end in range(5):
        weights = [0.6 ** (end - i) for i in range(end + 1)]
        mean = sum(w * v for w, v in zip(weights, values, strict=False)) / sum(weights)
        assert smooth(values, 0.6)[end] == pytest.approx(mean)
