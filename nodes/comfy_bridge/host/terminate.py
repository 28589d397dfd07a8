"""Handles what ends the server (SIGTERM, Ctrl+C, a closed terminal) like Stop: the run is saved before it ends."""

import asyncio
import logging
import signal
from types import FrameType

from server import PromptServer

from ....training.loop.job import Callback, StopTraining, TrainJob, TrainState
from ....training.loop.report import StepReport

USUAL = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
if hasattr(signal, "SIGHUP"):  # not on Windows, where closing the terminal cannot be held up
    USUAL[signal.SIGHUP] = signal.SIG_DFL
"""Signals that are handled, and what happens at them otherwise; where something else does, they are left alone."""


class SaveOnTerminate(Callback):
    """Callback that handles these signals while a run trains. Comes after the saver, so that the run is saved first.

    The handlers are set and called in the host's event loop, since signals reach the main thread and training has
    another.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handled: list[signal.Signals] = []
        self._received: signal.Signals | None = None

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Install the handlers."""
        self._loop = PromptServer.instance.loop
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._listen)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """End the run if a signal came."""
        self.check()

    def check(self) -> None:
        """End the run if a signal came; for moments between two steps, such as a pause."""
        if self._received is not None:
            raise StopTraining

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Remove the handlers, and let the signal have its normal effect."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._forget)

    def _listen(self) -> None:
        self._handled = [number for number, usual in USUAL.items() if signal.getsignal(number) is usual]
        for number in self._handled:
            signal.signal(number, self._hear)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        assert self._loop is not None, "handlers are installed by the loop"
        self._loop.call_soon_threadsafe(self._note, signal.Signals(number))  # what it interrupts may hold a lock

    def _note(self, number: signal.Signals) -> None:
        is_pressed_again = self._received is not None and number is signal.SIGINT
        if is_pressed_again:
            self._forget()
        elif self._received is None:
            self._received = number
            logging.info("LoRA Bakery: the run is saved after this step, then the server ends; Ctrl+C ends it at once")

    def _forget(self) -> None:
        for number in self._handled:
            signal.signal(number, USUAL[number])
        self._handled = []
        if self._received is not None:
            signal.raise_signal(self._received)
