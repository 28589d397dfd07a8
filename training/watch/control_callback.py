"""Carries out commands to a run, in its own thread between two steps."""

from collections.abc import Callable
from dataclasses import dataclass

from ..loop.job import Callback, StopTraining, TrainJob, TrainState
from ..loop.rate_changes import with_change
from ..loop.report import StepReport
from ..run.saver import Saver
from .control import RunControl
from .previews import OnPicture, Previewer


@dataclass
class ControlCallback(Callback):
    """Carries out the commands of a `RunControl` between two steps."""

    control: RunControl
    saver: Saver
    previewer: Previewer
    on_picture: OnPicture
    """Receives each requested picture."""
    idle: Callable[[], None]
    """Called ten times a second while paused; raises to cancel."""

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Report that training runs."""
        self.control.go("running")

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Carry out the commands given since the last step; waits here while paused."""
        self._obey(job, state)
        if self.control.is_paused:
            self.control.go("paused")
            while self.control.is_paused:
                self.idle()
                self._obey(job, state)
                self.control.wait(0.1)
            self.control.go("running")

    def _obey(self, job: TrainJob, state: TrainState) -> None:
        is_stopped, is_save_wanted, is_sample_wanted, rate_factor = self.control.take()
        if rate_factor != 1.0:
            state.rate_changes = with_change(state.rate_changes, state.step, rate_factor)
            self.saver.keep_rates(state)
            self.control.go(self.control.state)
        if is_save_wanted:
            with self.control.busy("save"):
                self.saver.save(job, state)
        if is_sample_wanted:
            with self.control.busy("sample"):
                self.previewer.draw(job, state)
                self.saver.save(job, state)
        for wanted in self.control.take_prompts():
            with self.control.busy("try"):
                self.previewer.try_prompt(job, state, wanted, self.on_picture)
        if is_stopped:
            self.control.go("stopping")
            raise StopTraining
