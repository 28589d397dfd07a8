"""Time limits that grow with the slowness of the machine."""

import pytest
from pack.tests.support import patience
from pack.tests.support.patience import MOST, Clock, Deadline, time_limit


@pytest.fixture
def machine(monkeypatch):
    """A machine whose time and slowness the test sets."""

    class Machine:
        now, slowness = 0.0, 1.0

    monkeypatch.setattr(patience.time, "monotonic", lambda: Machine.now)
    monkeypatch.setattr(patience, "_work", lambda: patience.IDLE_S * Machine.slowness)
    return Machine


def test_limits_grow_with_slowness_and_peaks_fade(machine):
    clock = Clock()
    assert time_limit(10, clock) == 20
    machine.now, machine.slowness = 10.0, 5.0
    assert time_limit(10, clock) == 100
    machine.now, machine.slowness = 20.0, 1.0
    assert 20 < time_limit(10, clock) < 100
    machine.now, machine.slowness = 30.0, 1e9
    assert time_limit(10, clock) == 20 * MOST


def test_a_deadline_counts_seconds_of_an_idle_machine(machine):
    deadline = Deadline(10, Clock())
    machine.now = 9.0
    assert not deadline.is_over
    machine.now, machine.slowness = 12.0, 10.0
    assert not deadline.is_over
    machine.now = 40.0
    assert deadline.is_over
