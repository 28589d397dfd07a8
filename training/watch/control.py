"""Controls a run from outside its thread: pause, resume, save, sample, stop, change the learning rate.

Any thread may give commands; `control_callback.py` carries them out in the training thread between two steps.
"""

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

Command = Literal["pause", "resume", "save", "sample", "stop", "rate"]
COMMANDS: tuple[Command, ...] = ("pause", "resume", "save", "sample", "stop", "rate")
State = Literal["running", "paused", "stopping"]
Wish = Literal[Command, "try"]
Doing = Literal["", "previews", "save", "sample", "try"]
"""What happens between two steps: due previews, or a command."""
MIN_RATE_FACTOR, MAX_RATE_FACTOR = 1e-3, 1e3
MAX_WAITING_PROMPTS = 8
"""Maximum number of pictures waiting to be drawn; each pauses training while it is drawn."""


@dataclass(frozen=True, slots=True)
class TryPrompt:
    """A picture to draw now."""

    prompt: str
    seed: int
    strength: float = 1.0


@dataclass
class RunControl:
    """Commands to a run and its current activity; every method may be called from any thread."""

    state: State = "running"
    """Current state; changes only after the step in progress."""
    doing: Doing = ""
    """Current activity besides training."""
    _hear: Callable[[], None] = lambda: None
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _is_paused: bool = False
    _is_stopped: bool = False
    _is_save_wanted: bool = False
    _is_sample_wanted: bool = False
    _rate_factor: float = 1.0
    _prompts: list[TryPrompt] = field(default_factory=list[TryPrompt])

    def command(self, name: Command, factor: float = 1.0) -> None:
        """Give a command; `factor` multiplies the learning rate with `rate`.

        Raises ValueError for a factor outside 0.001..1000 or an unknown name.
        """
        if name not in COMMANDS:
            raise ValueError(f"unknown command {name!r}; known are {', '.join(COMMANDS)}")
        if not MIN_RATE_FACTOR <= factor <= MAX_RATE_FACTOR:
            raise ValueError(f"factor must be {MIN_RATE_FACTOR:g} to {MAX_RATE_FACTOR:g}, got {factor}")
        with self._lock:
            if name in ("pause", "resume"):
                self._is_paused = name == "pause"
            elif name == "stop":
                self._is_stopped = True
            elif name == "save":
                self._is_save_wanted = True
            elif name == "sample":
                self._is_sample_wanted = True
            else:
                self._rate_factor *= factor
        self._wake.set()

    def try_prompt(self, wanted: TryPrompt) -> None:
        """Request a picture, drawn between two steps.

        Raises ValueError if the maximum number is waiting.
        """
        with self._lock:
            if len(self._prompts) >= MAX_WAITING_PROMPTS:
                raise ValueError(f"{MAX_WAITING_PROMPTS} pictures wait to be drawn already; wait for one of them")
            self._prompts.append(wanted)
        self._wake.set()

    @property
    def waiting(self) -> tuple[Wish, ...]:
        """Commands that are not carried out yet, since a step or a picture may take long."""
        with self._lock:
            wishes: dict[Wish, bool] = {
                "pause": self._is_paused and self.state == "running",
                "resume": not self._is_paused and self.state == "paused",
                "stop": self._is_stopped,
                "save": self._is_save_wanted,
                "sample": self._is_sample_wanted,
                "rate": self._rate_factor != 1.0,
                "try": bool(self._prompts),
            }
            return tuple(wish for wish, is_open in wishes.items() if is_open or wish == self.doing)

    def listen(self, hear: Callable[[], None]) -> None:
        """Register `hear`; the training thread calls it after every change of activity and every command."""
        self._hear = hear

    def go(self, state: State) -> None:
        """Set what the run does from now on."""
        self.state = state
        self._hear()

    @contextmanager
    def busy(self, doing: Doing) -> Generator[None]:
        """Context in which the run does something besides training; nested calls change nothing."""
        if self.doing:
            yield
            return
        self.doing = doing
        self._hear()
        try:
            yield
        finally:
            self.doing = ""
            self._hear()

    @property
    def is_paused(self) -> bool:
        """True from `pause` to `resume`."""
        return self._is_paused

    @property
    def is_stopped(self) -> bool:
        """True once `stop` was commanded."""
        return self._is_stopped

    def take_prompts(self) -> list[TryPrompt]:
        """Pictures requested since the last call."""
        with self._lock:
            prompts, self._prompts = self._prompts, []
        return prompts

    def take(self) -> tuple[bool, bool, bool, float]:
        """(stop, save, sample, learning-rate factor) commanded since the last call."""
        with self._lock:
            taken = self._is_stopped, self._is_save_wanted, self._is_sample_wanted, self._rate_factor
            self._is_save_wanted = self._is_sample_wanted = False
            self._rate_factor = 1.0
        return taken

    def wait(self, seconds: float) -> None:
        """Sleep until the next command, at most `seconds`."""
        self._wake.wait(seconds)
        self._wake.clear()
