"""What people do while a run is paused, and a process that dies between two steps."""

import os
from collections.abc import Callable

from pack.tests.support.person import Canceled
from pack.training.loop.job import Callback, StopTraining, TrainJob, TrainState
from pack.training.loop.report import StepReport
from pack.training.run.saver import Saver
from pack.training.watch.control import RunControl
from pack.training.watch.control_callback import ControlCallback


class Pauses(ControlCallback):
    """Pauses at a step; `then` is what people do meanwhile."""

    def __init__(self, saver: Saver, step: int, then: Callable[[RunControl], None]) -> None:
        control = RunControl()
        super().__init__(control, saver, None, lambda *_: None, lambda: then(control))
        self.step = step

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """At its step."""
        if state.step == self.step:
            self.control.command("pause")
        super().on_step(job, state, report)


def go_on(control: RunControl) -> None:
    """And nothing else."""
    control.command("resume")


def halve_rate(control: RunControl) -> None:
    """The button that halves it."""
    control.command("rate", 0.5)
    control.command("resume")


def save_now(control: RunControl) -> None:
    """The button."""
    control.command("save")
    control.command("resume")


def cancel(control: RunControl) -> None:
    """The host's button."""
    raise Canceled


def end_server(control: RunControl) -> None:
    """SIGTERM."""
    raise StopTraining


class Dies(Callback):
    """The process is killed."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """At its step."""
        if state.step == self.step:
            os._exit(9)
