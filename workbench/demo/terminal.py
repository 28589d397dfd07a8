"""Progress of a workflow in the terminal: one updated line, or occasional lines in a log."""

import sys
import time
from typing import Any

from ...tests.support.events import Event

LOG_EVERY_S = 5.0


class ProgressLine:
    """Shows the training progress from a server's events."""

    def __init__(self) -> None:
        self._is_terminal = sys.stdout.isatty()
        self._last_s = 0.0
        self._width = 0
        self.num_previews = 0

    def __call__(self, event: Event) -> None:
        """Process one event."""
        if event.type == "bakery.sample":
            self.num_previews += 1
        if event.type == "bakery.step":
            self._show(describe_step(event.data))

    def end(self) -> None:
        """End the line."""
        if self._width:
            print(flush=True)
        self._width = 0

    def _show(self, text: str) -> None:
        now = time.monotonic()
        if self._is_terminal:
            sys.stdout.write("\r" + text.ljust(self._width))
            self._width = len(text)
        elif now - self._last_s > LOG_EVERY_S:
            sys.stdout.write(text + "\n")
            self._last_s = now
        sys.stdout.flush()


def describe_step(step: dict[str, Any]) -> str:
    """Return a line about a `bakery.step` event."""
    done, total = int(step["step"]), int(step["total_steps"])
    parts = [f"step {done:4d}/{total}", f"loss {step['smoothed']:.4f}", f"{step['rate']:.2f} it/s"]
    bar = "#" * round(20 * done / total)
    minutes, seconds = divmod(int(step["left"]), 60)
    return "  ".join([f"[{bar:<20}]", *parts, f"{minutes}:{seconds:02d} left"])
