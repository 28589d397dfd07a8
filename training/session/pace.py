"""Words for the progress of a preparation: how many per second, how long it still takes."""

import time
from collections import deque
from collections.abc import Callable

WINDOW_S = 10.0
"""The pace is that of the last seconds: what an earlier run encoded is found at once."""
SAID_EVERY_S = 0.25
LONG_S = 90


class Pace:
    """Follows (done, of) of one preparation after another."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._what = ""
        self._seen: deque[tuple[float, int]] = deque()
        self._said_at = 0.0

    def words(self, what: str, done: int, of: int) -> str:
        """A line such as "encoding images 12/40, 3.1 a second"; empty if the last one is a moment old.

        The first and the last count always give a line.
        """
        now = self._clock()
        if what != self._what:
            self._what, self._said_at = what, now - SAID_EVERY_S
            self._seen.clear()
        self._seen.append((now, done))
        while len(self._seen) > 2 and now - self._seen[0][0] > WINDOW_S:
            self._seen.popleft()
        if now - self._said_at < SAID_EVERY_S and done < of:
            return ""
        self._said_at = now
        return f"{what} {done}/{of}{self._pace(of)}"

    def _pace(self, of: int) -> str:
        (start, first), (now, done) = self._seen[0], self._seen[-1]
        if done <= first or now - start < SAID_EVERY_S:
            return ""
        rate = (done - first) / (now - start)
        each = f", {rate:.{0 if rate >= 10 else 1}f} a second" if rate >= 1 else f", {1 / rate:.1f} s each"
        left = (of - done) / rate
        return each + (f", about {left / 60:.0f} min left" if left >= LONG_S else "")
