"""SIGTERM (a container or service that is stopped) ends a run as Stop does: saved first, then the process ends."""

import asyncio
import os
import signal

from server import PromptServer

from ....training.loop.job import Callback, StopTraining, TrainJob, TrainState
from ....training.loop.report import StepReport


class SaveOnTerminate(Callback):
    """Callback that answers SIGTERM while a run trains. It comes after the saver, whose end is done when this one's is.

    The handler belongs to the host's loop, since signals reach the main thread and training has another. Where a
    handler is there already, or the system has no such signals, nothing is changed.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_terminating = False

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Listens."""
        loop = PromptServer.instance.loop
        if os.name == "posix" and loop is not None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._loop = loop
            loop.call_soon_threadsafe(loop.add_signal_handler, signal.SIGTERM, self._note)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Ends the run if the signal came."""
        self.check()

    def check(self) -> None:
        """Ends the run if the signal came; for moments between two steps, as while it is paused."""
        if self._is_terminating:
            raise StopTraining

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Listens no more; lets the signal do what it does without us."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._forget, self._loop)

    def _note(self) -> None:
        self._is_terminating = True

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        if self._is_terminating:
            os.kill(os.getpid(), signal.SIGTERM)
