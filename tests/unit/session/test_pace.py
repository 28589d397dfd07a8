"""The line under a node tells how fast pictures are encoded and how long it still takes."""

from pack.training.session.pace import Pace


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def said(steps, of):
    """Lines for (seconds later, done)."""
    clock = Clock()
    pace, lines = Pace(clock), []
    for seconds, done in steps:
        clock.now += seconds
        lines.append(pace.words("encoding images", done, of))
    return lines


def test_pictures_per_second_and_the_time_left():
    lines = said([(0, 16), *((1, 16 * turn) for turn in range(2, 9))], 5000)
    assert lines[0] == "encoding images 16/5000"
    assert lines[-1] == "encoding images 128/5000, 16 a second, about 5 min left"


def test_slow_ones_in_seconds_each():
    assert said([(0, 1), (4, 2), (4, 3)], 4)[-1] == "encoding images 3/4, 4.0 s each"


def test_what_was_found_from_before_does_not_count_for_long():
    lines = said([(0, 16), (0.01, 3000), *((1, 3000 + 2 * turn) for turn in range(1, 15))], 5000)
    assert "2.0 a second, about 16 min left" in lines[-1]


def test_thousands_that_are_found_at_once_are_few_lines():
    lines = said([(0.0001, done) for done in range(1, 5001)], 5000)
    assert sum(map(bool, lines)) <= 5
    assert lines[0].startswith("encoding images 1/5000") and lines[-1].startswith("encoding images 5000/5000")


def test_another_preparation_starts_over():
    clock = Clock()
    pace = Pace(clock)
    pace.words("encoding images", 1, 2)
    assert pace.words("encoding captions", 1, 9) == "encoding captions 1/9"
