"""Bars are as high as the numbers, and one far above the rest leaves them to be seen."""

import pytest
from pack.training.drawing.bars import HIGHLIGHTED, PLAIN, TROUBLE, bar_chart


def height(image, color: tuple[int, int, int]) -> int:
    """Pixels of nearly a color in the column with most of it."""

    def is_near(x: int, y: int) -> bool:
        return sum(abs(a - b) for a, b in zip(image.getpixel((x, y)), color, strict=True)) < 60

    return max(sum(is_near(x, y) for y in range(image.height)) for x in range(image.width))


def test_the_chart_s_bars_are_as_high_as_the_numbers():
    image = bar_chart("norms", {"BASE": 1.0, "IN01": 2.0, "M00": 0.0}, ("BASE",))

    assert height(image, PLAIN) == pytest.approx(2 * height(image, HIGHLIGHTED), abs=2)


def test_an_exploded_and_a_broken_block_leave_the_others_to_be_seen():
    values = {"BASE": 1.0, "IN01": 2.0, "IN02": 9000.0, "M00": 1.5, "OUT01": 0.0}
    image = bar_chart("norms", values, ("BASE",), {"OUT01": "NaN"})
    assert height(image, PLAIN) == pytest.approx(2 * height(image, HIGHLIGHTED), abs=2)
    assert height(image, PLAIN) > 250
    assert height(image, TROUBLE) > 250


@pytest.mark.parametrize("largest", [1e-6, 0.3, 1.0, 2.0, 9.99, 10.0, 4321.0])
def test_the_largest_bar_fits_and_fills_most(largest: float):
    image = bar_chart("norms", {"IN01": largest, "M00": largest / 2})
    assert 200 <= height(image, PLAIN) <= 301


def test_a_long_title_is_not_cut_and_nothing_known_is_no_error():
    assert bar_chart("x" * 100, {"M00": 1.0}).width > bar_chart("x", {"M00": 1.0}).width + 300
    assert bar_chart("none", {}).width > 300
