"""Loss on held-out images during training, the curve that shows generalization."""

from collections.abc import Callable
from typing import Any

from ..data.prepared import PreparedDataset
from ..loop.final_weights import final_weights
from ..loop.job import Callback, TrainJob, TrainState
from ..loop.report import StepReport
from ..run.metrics import last_validated
from ..run.saver import Saver
from .measure import ImageLoss, image_losses


def measure_final(
    job: TrainJob, state: TrainState, data: PreparedDataset, on_batch: Callable[[int, int], None]
) -> list[ImageLoss]:
    """Losses with the weights that would be saved; training continues with the same bits."""
    job.network.train(False)
    with final_weights(job, state):
        return image_losses(job, data, on_batch)


class Validator(Callback):
    """Measures held-out images at step 0, every n steps and at the end, and writes the loss to the metrics."""

    def __init__(
        self, data: PreparedDataset, set_id: str, every: int, saver: Saver, on_batch: Callable[[int, int], None]
    ) -> None:
        """`data` is without draws; `set_id` is its digest, since losses of other sets are not comparable.

        `on_batch` may cancel.
        """
        self._data = data
        self._set_id = set_id
        self._every = every
        self._saver = saver
        self._on_batch = on_batch
        self._last_step = -1

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Measure a step that was due when the run was interrupted."""
        self._last_step = last_validated(self._saver.folder.metrics, self._set_id)
        if not state.step or self._is_due(job, state):
            self._measure(job, state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Measure every n steps."""
        if self._is_due(job, state):
            self._measure(job, state)

    def _is_due(self, job: TrainJob, state: TrainState) -> bool:
        return state.step % self._every == 0 or state.step == job.total_steps

    def _measure(self, job: TrainJob, state: TrainState) -> None:
        if state.step <= self._last_step:
            return
        losses = measure_final(job, state, self._data, self._on_batch)
        by_timestep = [list(column) for column in zip(*(image.loss_by_timestep for image in losses), strict=True)]
        line: dict[str, Any] = {
            "step": state.step,
            "validation_set": self._set_id,
            "validation_loss": sum(image.loss for image in losses) / len(losses),
            "validation_by_timestep": [sum(column) / len(column) for column in by_timestep],
        }
        self._saver.note(line)
        self._last_step = state.step
