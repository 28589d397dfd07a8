"""Steering a run from outside its thread: pause, go on, save, sample, stop, change the rate.

Commands are noted by any thread and obeyed by the training thread between two steps.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from .job import StopTraining, TrainJob, TrainState
from .report import StepReport

Command = Literal["pause", "resume", "save", "sample", "stop", "rate"]
COMMANDS: tuple[Command, ...] = ("pause", "resume", "save", "sample", "stop", "rate")
MIN_RATE_FACTOR, MAX_RATE_FACTOR = 1e-3, 1e3
MAX_WAITING_PROMPTS = 8
"""Pictures that may wait to be drawn; each holds up training while it is drawn."""


@dataclass(frozen=True, slots=True)
class TryPrompt:
    """A picture wanted now."""

    prompt: str
    seed: int
    strength: float = 1.0


@dataclass
class RunControl:
    """What is wanted of a run; every method may be called from any thread."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _wake: threading.Event = field(default_factory=threading.Event)
    _is_paused: bool = False
    _is_stopped: bool = False
    _is_save_wanted: bool = False
    _is_sample_wanted: bool = False
    _rate_factor: float = 1.0
    _prompts: list[TryPrompt] = field(default_factory=list[TryPrompt])

    def command(self, name: Command, factor: float = 1.0) -> None:
        """Notes a command; `factor` multiplies the learning rate with `rate`.

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
        """Notes a picture to be drawn between two steps.

        Raises ValueError where as many wait already as may.
        """
        with self._lock:
            if len(self._prompts) >= MAX_WAITING_PROMPTS:
                raise ValueError(f"{MAX_WAITING_PROMPTS} pictures wait to be drawn already; wait for one of them")
            self._prompts.append(wanted)
        self._wake.set()

    @property
    def is_paused(self) -> bool:
        """True from `pause` to `resume`."""
        return self._is_paused

    @property
    def is_stopped(self) -> bool:
        """True once `stop` was wanted."""
        return self._is_stopped

    def take_prompts(self) -> list[TryPrompt]:
        """Pictures wanted since the last call."""
        with self._lock:
            prompts, self._prompts = self._prompts, []
        return prompts

    def take(self) -> tuple[bool, bool, bool, float]:
        """(stop, save, sample, rate factor) wanted since the last call."""
        with self._lock:
            taken = self._is_stopped, self._is_save_wanted, self._is_sample_wanted, self._rate_factor
            self._is_save_wanted = self._is_sample_wanted = False
            self._rate_factor = 1.0
        return taken

    def wait(self, seconds: float) -> None:
        """Sleeps until the next command, at most so long."""
        self._wake.wait(seconds)
        self._wake.clear()


@dataclass
class ControlCallback:
    """Obeys a `RunControl` between two steps."""

    control: RunControl
    save: Callable[[TrainJob, TrainState], None]
    sample: Callable[[TrainJob, TrainState], None]
    try_prompt: Callable[[TrainJob, TrainState, TryPrompt], None]
    idle: Callable[[], None]
    """Called ten times a second while paused; raises to cancel."""
    on_state: Callable[[str], None]
    """Hears `running`, `paused` or `stopping`."""
    on_rate: Callable[[int, float], None]
    """Hears step and the new factor of the learning rate."""

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Says that training runs."""
        self.on_state("running")

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Obeys what was wanted since the last step; waits here while paused."""
        self._obey(job, state)
        if self.control.is_paused:
            self.on_state("paused")
            while self.control.is_paused:
                self.idle()
                self._obey(job, state)
                self.control.wait(0.1)
            self.on_state("running")

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Nothing to undo."""

    def _obey(self, job: TrainJob, state: TrainState) -> None:
        is_stopped, is_save_wanted, is_sample_wanted, rate_factor = self.control.take()
        if rate_factor != 1.0:
            state.rate_factor *= rate_factor
            self.on_rate(state.step, state.rate_factor)
        if is_save_wanted:
            self.save(job, state)
        if is_sample_wanted:
            self.sample(job, state)
        for wanted in self.control.take_prompts():
            self.try_prompt(job, state, wanted)
        if is_stopped:
            self.on_state("stopping")
            raise StopTraining
