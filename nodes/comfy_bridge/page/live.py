"""Runs in training by id, reachable for buttons and routes; sends their events to pages."""

import base64
import io
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

from torch import Tensor

from ....training.loop.job import Callback, TrainJob, TrainState
from ....training.loop.report import StepReport
from ....training.run.folder import RunFolder
from ....training.run.stops import note_stop
from ....training.watch.control import RunControl, TryPrompt
from .progress import NodeProgress, memory_gib, to_pil

EVENT_INTERVAL_S = 0.2
"""Steps that end within this time after the last event are sent together with the next one."""


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run in training and the node that shows it."""

    folder: RunFolder
    node_id: str | None
    control: RunControl


_runs: dict[tuple[str, str], LiveRun] = {}
"""By name and id: equal runs of two names have the same id."""


def open_run(folder: RunFolder, node_id: str | None) -> RunControl:
    """Make a run reachable until it ends (`CloseRun`)."""
    control = RunControl()
    _runs[folder.name, folder.run_id] = LiveRun(folder, node_id, control)
    return control


def live_run(name: str, run_id: str) -> LiveRun | None:
    """The run of a name with an id, if it is training."""
    return _runs.get((name, run_id))


def live_folders() -> list[RunFolder]:
    """The folders of the runs that are training."""
    return [run.folder for run in list(_runs.values())]


def live_ids(name: str) -> list[str]:
    """Ids of the runs that train under a name."""
    return [folder.run_id for folder in live_folders() if folder.name == name]


_status_lock = threading.Lock()
_status_at_ms = 0.0


def status(control: RunControl | None) -> dict[str, Any]:
    """What a run is doing (`state`, `doing`) and pending commands (`waiting`); None has ended.

    `at` orders what a page receives by event and by answer, which may arrive in the wrong order: later ones were read
    later.
    """
    global _status_at_ms
    with _status_lock:
        _status_at_ms = max(_status_at_ms + 0.001, time.time() * 1000)
        if control is None:
            return {"state": "ended", "waiting": [], "doing": "", "at": _status_at_ms}
        waiting, state, doing = control.waiting, control.state, control.doing
        return {"state": state, "waiting": list(waiting), "doing": doing, "at": _status_at_ms}


def live_status(run_id: str, name: str) -> dict[str, Any]:
    """`status` of the run if it is training, else that of an ended run."""
    run = live_run(name, run_id)
    return status(run and run.control)


def tell_heard(run: LiveRun) -> None:
    """Send pending commands to every page, before the training thread can carry them out."""
    _send_state(run.folder, run.node_id)


def tell_picked(folder: RunFolder) -> None:
    """Have every page that shows the run fetch it again: another step is picked, or none."""
    _send_state(folder, None)


def _send_state(folder: RunFolder, node_id: str | None) -> None:
    names = {"run": folder.run_id, "name": folder.name}
    NodeProgress.event_of(node_id, "bakery.state", {**names, **live_status(folder.run_id, folder.name)})


@dataclass(frozen=True, slots=True)
class CloseRun(Callback):
    """Callback that removes a run when it ends."""

    folder: RunFolder
    events: "RunEvents"

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Tell pages that it ended; records a run that was stopped and kept, so that queueing again continues it."""
        run = _runs.pop((self.folder.name, self.folder.run_id), None)
        is_by_user = error is None and run is not None and run.control.is_stopped
        if is_by_user and state.step < job.total_steps:
            note_stop(self.folder, state.step)
        self.events.send("state", status(None))


class RunEvents:
    """Sends events of a run to every page: `bakery.step`, `bakery.sample`, `bakery.state`, `bakery.try`."""

    def __init__(self, progress: NodeProgress, folder: RunFolder) -> None:
        self._progress = progress
        self._names = {"run": folder.run_id, "name": folder.name}
        self._points: list[tuple[int, float]] = []
        self._step: dict[str, Any] = {}
        self._sent_at = 0.0

    def send(self, kind: str, data: dict[str, Any]) -> None:
        """Send an event, after the steps that are still waiting."""
        self._flush()
        self._progress.event(f"bakery.{kind}", {**self._names, **data})

    def picture(self, wanted: TryPrompt, step: int, picture: Tensor) -> None:
        """Send a requested (H, W, 3) picture in 0..1."""
        self.send("try", {**asdict(wanted), "step": step, "picture": data_url(picture)})

    def step(self, report: StepReport, smoothed: float, rate: float, left_s: float, saved: int) -> None:
        """Record a step; sent at most five times a second, with (step, loss) of all steps since the last event.

        `saved` is the last step on disk.
        """
        self._points.append((report.step, report.loss))
        figures = {key: value for key, value in asdict(report).items() if key != "samples"}
        self._step = {**figures, "smoothed": smoothed, "rate": rate, "left": left_s, "saved": saved}
        if report.step == report.total_steps or time.monotonic() - self._sent_at >= EVENT_INTERVAL_S:
            self._flush()

    def _flush(self) -> None:
        if self._points:
            data = {**self._names, **self._step, "points": self._points, "memory_gib": memory_gib()}
            self._progress.event("bakery.step", data)
            self._points, self._sent_at = [], time.monotonic()


def data_url(picture: Tensor) -> str:
    """(H, W, 3) floats in 0..1 as a JPEG data URL."""
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
