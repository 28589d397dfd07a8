"""Handles SIGTERM (a container or service is stopped) like Stop: the run is saved before the process ends."""

import asyncio
import os
import signal

from server import PromptServer

from ....training.loop.job import Callback, StopTraining, TrainJob, TrainState
from ....training.loop.report import StepReport


class SaveOnTerminate(Callback):
    """Callback that handles SIGTERM while a run trains. Comes after the saver, so that the run is saved first.

    The handler belongs to the host's event loop, since signals reach the main thread and training has another. If a
    handler exists already, or the system has no such signals, nothing is changed.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_terminating = False

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Install the handler."""
        loop = PromptServer.instance.loop
        if os.name == "posix" and loop is not None and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
            self._loop = loop
            loop.call_soon_threadsafe(loop.add_signal_handler, signal.SIGTERM, self._note)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """End the run if the signal came."""
        self.check()

    def check(self) -> None:
        """End the run if the signal came; for moments between two steps, such as a pause."""
        if self._is_terminating:
            raise StopTraining

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Remove the handler, and let the signal have its normal effect."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._forget, self._loop)

    def _note(self) -> None:
        self._is_terminating = True

    def _forget(self, loop: asyncio.AbstractEventLoop) -> None:
        loop.remove_signal_handler(signal.SIGTERM)
        if self._is_terminating:
            os.kill(os.getpid(), signal.SIGTERM)
