"""Curves of a run that grows, is cut and is replaced are those of a file read whole."""

import json
import random
import time

import pytest
from pack.training.run import curves as module
from pack.training.run.curves import CurveReader, read_curves
from pack.training.run.lines import LineFile, cut_lines


def line(step, loss=None):
    figures = {"epoch": step // 10, "grad_norm": 1.0, "learning_rates": {"unet": 1e-4}, "seconds": 0.5}
    return {"step": step, "loss": 1.0 / step if loss is None else loss, **figures}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "metrics.jsonl"


def is_read_whole(path):
    return read_curves(path, 10**6) == CurveReader(path).read(10**6)


def test_what_is_appended_is_seen(path):
    assert read_curves(path).num_steps == 0
    for step in range(1, 40):
        LineFile(path).append(line(step))
        if step % 3 == 0:
            LineFile(path).append({"step": step, "validation_loss": 1.0})
        assert read_curves(path).step[-1] == step
    assert is_read_whole(path)


def test_a_run_that_goes_back_to_its_last_save_is_read_again(path):
    for step in range(1, 30):
        LineFile(path).append(line(step))
    assert read_curves(path).num_steps == 29
    cut_lines(path, 10)
    for step in range(11, 60):
        LineFile(path).append(line(step, loss=7.0))
    assert read_curves(path).loss[10:] == [7.0] * 49
    path.unlink()
    assert read_curves(path).num_steps == 0
    LineFile(path).append(line(1))
    assert read_curves(path).num_steps == 1


def test_a_line_that_is_being_written_is_read_once_it_is_whole(path):
    LineFile(path).append(line(1))
    text = json.dumps(line(2)) + "\n"
    with path.open("a") as file:
        file.write(text[:20])
    assert read_curves(path).num_steps == 1
    with path.open("a") as file:
        file.write(text[20:])
    assert read_curves(path).num_steps == 2


def test_any_order_of_growing_cutting_and_reading_gives_what_the_file_says(path):
    draw, step = random.Random(5), 0
    for _ in range(200):
        act = draw.choice(["add", "add", "add", "cut", "read"])
        if act == "add":
            step += 1
            LineFile(path).append(line(step, draw.random()))
        elif act == "cut" and step:
            step = draw.randrange(step + 1)
            cut_lines(path, step)
        else:
            assert is_read_whole(path)
    assert is_read_whole(path)


def test_no_line_is_parsed_twice(path, monkeypatch):
    for step in range(1, 10_001):
        LineFile(path).append(line(step))
    parsed = []
    monkeypatch.setattr(module, "read_json", lambda text: parsed.append(1) or json.loads(text))
    start = time.perf_counter()
    assert read_curves(path).num_steps == 10_000
    first_s = time.perf_counter() - start
    LineFile(path).append(line(10_001))
    start = time.perf_counter()
    assert read_curves(path).num_steps == 10_001
    print(f"10,000 steps: {1000 * first_s:.0f} ms first, {1000 * (time.perf_counter() - start):.0f} ms with one more")
    assert len(parsed) == 10_001
