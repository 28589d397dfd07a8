"""What was drawn is found again whole, votes and choices are kept, and the figures say what they claim."""

import json
import os
from dataclasses import replace

import pytest
from pack.training.compare.layout import NO_LORA, Cell
from pack.training.compare.store import (
    Comparison,
    choices_state,
    comparison_view,
    load_choice,
    load_comparison,
    load_pictures,
    load_votes,
    save_choice,
    save_comparison,
    save_votes,
)
from PIL import Image

CELLS = tuple(Cell(lora, prompt, 0, 0) for lora in range(3) for prompt in range(2))


def comparison(scores=(), plain=(), run=("0123456789ab", "fox")):
    return Comparison(
        loras=(NO_LORA, "step 10", "step 20"), steps=(None, 10, 20), prompts=("fox", "<b>"), strengths=(1.0,),
        text_strengths=(None,), run=run, cells=CELLS, scores=scores, plain_scores=plain,
    )  # fmt: skip


def pictures():
    return [Image.new("RGB", (8, 8), (number * 40, 7, 9)) for number in range(len(CELLS))]


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / ("a" * 24)
    save_comparison(folder, comparison(), pictures())
    return folder


@pytest.mark.parametrize("run", [None, ("0123456789ab", "fox")])
def test_it_is_found_again_whole(tmp_path, run):
    written = comparison((0.1,) * 6, (0.1, 0.2, 0.3), run)
    save_comparison(tmp_path / "x", written, pictures())
    assert load_comparison(tmp_path / "x") == written
    found = load_pictures(tmp_path / "x", written)
    assert [picture.tobytes() for picture in found] == [picture.tobytes() for picture in pictures()]


def test_one_that_is_missing_or_broken_is_none(folder):
    assert load_comparison(folder.parent / "nobody") is None
    (folder / "0003.png").write_bytes(b"x")
    assert load_pictures(folder, comparison()) is None
    for text in ("{", "[]", "{}", json.dumps({"cells": 5, "run": None})):
        (folder / "comparison.json").write_text(text)
        assert load_comparison(folder) is None


def test_votes_and_choice_are_kept_and_bad_ones_refused(folder):
    drawn = comparison()
    save_votes(folder, drawn, [[4, 2], [0, 1]])
    save_choice(folder, drawn, 5)
    for votes in (
        [[0]],
        [[1, 1]],
        [[0, 1, 2]],
        [[0, 6]],
        [[-1, 0]],
        [[True, 0]],
        ["01"],
        [{"a": 1}],
        [[0, 1]] * 10_001,
    ):
        with pytest.raises(ValueError, match="vote|cell"):
            save_votes(folder, drawn, votes)
    for cell in (6, -1, True, "1", 1.0, [1]):
        with pytest.raises(ValueError, match="cell"):
            save_choice(folder, drawn, cell)
    assert load_votes(folder) == [[4, 2], [0, 1]]
    assert load_choice(folder, drawn) == 5
    view = comparison_view(folder, drawn)
    assert (view["votes"], view["choice"], view["run"]["name"]) == ([[4, 2], [0, 1]], 5, "fox")
    json.dumps(view, allow_nan=False)
    before = choices_state(folder.parent)
    save_choice(folder, drawn, None)
    assert load_choice(folder, drawn) is None
    assert choices_state(folder.parent) != before


def test_what_shows_without_the_trigger():
    """The base gives 0.2 in either case; step 10 adds 0.4 with the trigger and 0.1 without, step 20 0.6 and 0.48."""
    drawn = comparison((0.2, 0.2, 0.6, 0.6, 0.8, 0.8), (0.2, 0.3, 0.68))
    assert drawn.leaks() == pytest.approx([None, 0.25, 0.8], nan_ok=True)
    report = drawn.report(2, "most like the references")
    assert "step 20: likeness 0.680 without the trigger, shows 80% of itself unasked" in report
    assert "step 10: likeness 0.300 without the trigger, shows 25% of itself unasked\n" in report + "\n"
    unlearned = comparison((0.2, 0.2, 0.21, 0.21, 0.8, 0.8), (0.2, 0.2, 0.2))
    assert unlearned.leaks() == pytest.approx([None, None, 0.0])
    assert comparison((0.2,) * 6).leaks() == [None, None, None]


def test_what_the_base_draws_without_the_word_is_not_taken_for_what_the_lora_adds():
    """The word changes the base's own pictures too: 0.3 with it, 0.2 without."""
    drawn = comparison((0.3, 0.3, 0.31, 0.31, 0.7, 0.7), (0.2, 0.2, 0.3))
    assert drawn.leaks() == pytest.approx([None, None, 0.25])


def test_a_lora_that_changes_other_subjects_is_called_overfit():
    report = replace(comparison(), others_changed=(None, 0.24, 0.25)).report(1, "the last")
    assert "step 10: changes other subjects 24% as much as what it was trained for\n" in report
    assert "step 20: changes other subjects 25% as much as what it was trained for: overfit, take an earlier" in report


def test_the_oldest_are_deleted_beyond_a_limit(tmp_path, monkeypatch):
    monkeypatch.setattr("pack.training.compare.store.MAX_KEPT", 2)
    for number in range(4):
        save_comparison(tmp_path / str(number), comparison(), pictures())
        os.utime(tmp_path / str(number) / "comparison.json", (number, number))
    save_comparison(tmp_path / "4", comparison(), pictures())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3", "4"]
