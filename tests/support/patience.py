"""How slow this machine is just now, and time limits that grow with it.

A limit is given in seconds of an idle machine. What a test waits for comes later on a busy one, and a limit of seconds
would then fail tests that have nothing wrong.
"""

import time

IDLE_S = 0.012
"""What `_work` takes on one core of a machine from 2023 that does nothing else."""
MOST = 20.0
SECONDS_BETWEEN = 2.0
ROUNDS = 200_000


class Clock:
    """Measures the slowness again and again; 1 = an idle machine, never less."""

    def __init__(self) -> None:
        self._slowness = 1.0
        self._measured_at = float("-inf")

    def slowness(self) -> float:
        """Return how many times longer work takes now than on an idle machine; a peak fades in some ten seconds."""
        if time.monotonic() - self._measured_at >= SECONDS_BETWEEN:
            now = min(MOST, max(1.0, _work() / IDLE_S))
            self._slowness = max(now, 0.7 * self._slowness)
            self._measured_at = time.monotonic()
        return self._slowness


CLOCK = Clock()


def _work() -> float:
    started = time.monotonic()
    total = 0
    for number in range(ROUNDS):
        total += number
    return time.monotonic() - started


def time_limit(seconds: float, clock: Clock = CLOCK) -> float:
    """Return a limit of idle seconds as seconds on this machine now, with room for it to become as busy again."""
    return seconds * max(2.0, 2.0 * clock.slowness())


class Deadline:
    """A limit of idle seconds that keeps growing while the machine is busy.

    Args:
        seconds: on an idle machine.
    """

    def __init__(self, seconds: float, clock: Clock = CLOCK) -> None:
        self._left, self._clock = seconds, clock
        self._looked_at = time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether the time has run out; each call counts the time since the last, slower where the machine is."""
        now = time.monotonic()
        self._left -= (now - self._looked_at) / self._clock.slowness()
        self._looked_at = now
        return self._left <= 0
