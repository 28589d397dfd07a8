"""Grids hold every combination once; steps, numbers and the best LoRA are chosen as said."""

import itertools

import pytest
from pack.training.compare.layout import (
    AXES,
    Cell,
    arrange,
    best_lora,
    choose_steps,
    parse_numbers,
    without_trigger,
)
from pack.training.compare.sheet import draw_pages
from PIL import Image

LABELS = {"LoRA": ["a", "b", "c"], "prompt": ["p", "q"], "strength": ["1", "2"], "text encoder": ["same"]}


@pytest.mark.parametrize(("columns", "rows"), list(itertools.permutations(AXES, 2)))
def test_every_combination_is_in_one_cell(columns, rows):
    pages = arrange(LABELS, columns, rows)
    cells = [cell for page in pages for row in page.cells for cell in row]
    wanted = {Cell(*place) for place in itertools.product(*(range(len(LABELS[name])) for name in AXES))}
    assert len(cells) == len(wanted)
    assert set(cells) == wanted
    for page in pages:
        assert (len(page.cells[0]), len(page.cells)) == (len(LABELS[columns]), len(LABELS[rows]))
        column = AXES.index(columns)
        assert all([getattr(c, Cell.__slots__[column]) for c in row] == list(range(len(row))) for row in page.cells)


def test_refuses_equal_axes_and_too_much():
    with pytest.raises(ValueError, match="columns.*rows"):
        arrange(LABELS, "LoRA", "LoRA")
    with pytest.raises(ValueError, match="2400"):
        arrange({**LABELS, "strength": ["1"] * 400}, "LoRA", "prompt")


@pytest.mark.parametrize("count", range(1, 14))
def test_steps_without_a_wish_are_spread_and_end_with_the_last(count):
    saved = [100 * number for number in range(1, 12)]
    steps = choose_steps(saved, "", count)
    assert len(steps) == min(count, len(saved))
    assert steps[-1] == 1100
    assert steps == sorted(set(steps))
    gaps = [later - earlier for earlier, later in itertools.pairwise(steps)]
    assert not gaps or max(gaps) - min(gaps) <= 100


def test_wanted_steps_are_taken_or_refused_by_name():
    assert choose_steps([100, 200, 300], "300, 100", 4) == [300, 100]
    with pytest.raises(ValueError, match=r"steps.*100, 200.*150"):
        choose_steps([100, 200], "150", 4)


def test_numbers():
    assert parse_numbers("0.5, 1 0.5;-2", "strengths", -10, 10) == [0.5, 1.0, -2.0]
    for text in ("a", "11", "nan", "inf", "1e999"):
        with pytest.raises(ValueError, match="strengths must be"):
            parse_numbers(text, "strengths", -10, 10)


def test_best_lora_is_that_of_the_best_strength():
    scores = {
        Cell(0, 0, 0, 0): 0.5, Cell(0, 1, 0, 0): 0.5, Cell(0, 0, 1, 0): 0.5, Cell(0, 1, 1, 0): 0.5,
        Cell(1, 0, 0, 0): 0.0, Cell(1, 1, 0, 0): 0.1, Cell(1, 0, 1, 0): 0.6, Cell(1, 1, 1, 0): 0.5,
    }  # fmt: skip
    assert best_lora(scores) == 1
    assert best_lora(dict.fromkeys(scores, 0.5)) == 0


def test_trigger_is_left_out():
    assert without_trigger("zorblax, red hat, a zorblax on grass", "zorblax") == "red hat, a on grass"
    assert without_trigger("blue", "zorblax") == "blue"


def test_sheet_shows_each_picture_in_its_place():
    pages = arrange({**LABELS, "strength": ["1"]}, "LoRA", "prompt")
    colors = {cell: (40 * cell.lora + 20, 90 * cell.prompt + 20, 200) for row in pages[0].cells for cell in row}
    pictures = {cell: Image.new("RGB", (256, 128), color) for cell, color in colors.items()}
    (sheet,) = draw_pages(pages, pictures, {cell: 0.5 for cell in pictures}, best=1)
    places = {color: [] for color in colors.values()}
    for y in range(sheet.height):
        for x in range(sheet.width):
            pixel = sheet.getpixel((x, y))
            if pixel in places:
                places[pixel].append((x, y))
    left = {cell: min(x for x, _ in places[color]) for cell, color in colors.items()}
    top = {cell: min(y for _, y in places[color]) for cell, color in colors.items()}
    assert left[Cell(0, 0, 0, 0)] < left[Cell(1, 0, 0, 0)] < left[Cell(2, 0, 0, 0)]
    assert top[Cell(0, 0, 0, 0)] < top[Cell(0, 1, 0, 0)]
    assert all(len(found) > 0.9 * 256 * 128 for found in places.values())
