"""Which process runs which test file."""

import pytest
from pack.tests.support.schedule import TestFile, choose, needs_of

BROWSER, SERVER, COMFY, NONE = (frozenset(text.split()) for text in ("browser server", "server", "comfy", ""))


@pytest.mark.parametrize(
    ("source", "needs"),
    [
        ("pytestmark = pytest.mark.server", SERVER),
        ("@pytest.mark.browser\ndef test(): ...", BROWSER),
        ("pytestmark = [pytest.mark.comfy, pytest.mark.slow]", COMFY),
        ("@pytest.mark.parametrize", NONE),
    ],
)
def test_what_a_file_needs(source, needs):
    assert needs_of(source) == needs


def dealt(files, num_processes):
    """Plays the suite: (seconds until the last process ends, times something was started)."""
    waiting, clocks = list(files), [0.0] * num_processes
    started = [NONE] * num_processes
    while waiting:
        process = clocks.index(min(clocks))
        others = [needs for index, needs in enumerate(started) if index != process]
        file = choose(waiting, started[process], others)
        waiting.remove(file)
        clocks[process] += file.seconds
        started[process] |= file.needs
    return max(clocks), sum(len(needs) for needs in started)


def files(needs, *seconds):
    return [TestFile(f"{sorted(needs)} {index} {each}", needs, each) for index, each in enumerate(seconds)]


SUITE = [*files(BROWSER, 60, 40, 20), *files(SERVER, 60, 30), *files(COMFY, 90, 50, 5), *files(NONE, 60, 20, 20, 20, 9)]


def test_two_processes_start_each_host_once_and_end_together():
    total = sum(file.seconds for file in SUITE)
    seconds, starts = dealt(SUITE, 2)
    assert starts == 3
    assert seconds <= total / 2 + 30


@pytest.mark.parametrize("num_processes", [1, 3, 8])
def test_every_process_has_work_to_the_end(num_processes):
    total, longest = sum(file.seconds for file in SUITE), max(file.seconds for file in SUITE)
    assert dealt(SUITE, num_processes)[0] <= total / num_processes + longest


def test_the_longest_first():
    assert choose(files(NONE, 1, 5, 3), NONE, []).seconds == 5


def test_a_process_goes_on_with_what_it_has_started():
    assert choose([*files(COMFY, 100), *files(SERVER, 1)], BROWSER, []).needs == SERVER
