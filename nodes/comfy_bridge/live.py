"""Runs that train right now, by id, so that buttons and routes can reach them."""

import base64
import io
from dataclasses import dataclass

from torch import Tensor

from ...training.control import RunControl
from ...training.run.folder import RunFolder
from ...training.trainer import TrainJob, TrainState
from .progress import to_pil


@dataclass(frozen=True, slots=True)
class LiveRun:
    """A run in training and the node that shows it."""

    folder: RunFolder
    node_id: str | None
    control: RunControl


_runs: dict[str, LiveRun] = {}


def open_run(folder: RunFolder, node_id: str | None) -> RunControl:
    """Makes a run reachable until `CloseRun` hears its end."""
    control = RunControl()
    _runs[folder.run_id] = LiveRun(folder, node_id, control)
    return control


def live_run(run_id: str) -> LiveRun | None:
    """The run of an id, if it trains right now."""
    return _runs.get(run_id)


@dataclass(frozen=True, slots=True)
class CloseRun:
    """Callback that forgets a run when it ends."""

    folder: RunFolder

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """It is reachable already."""

    def on_step(self, job: TrainJob, state: TrainState, report: object) -> None:
        """Nothing per step."""

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        _runs.pop(self.folder.run_id, None)


def data_url(picture: Tensor) -> str:
    """(H, W, 3) floats in 0..1 as a JPEG data URL."""
    buffer = io.BytesIO()
    to_pil(picture).save(buffer, "JPEG", quality=90)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
