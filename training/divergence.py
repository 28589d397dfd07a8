"""Notices a run that blows up before its loss is no number."""

from pathlib import Path

from .job import TrainingDiverged, TrainJob, TrainState
from .report import StepReport
from .run.metrics import read_metrics

WINDOW = 20
"""Steps averaged: single steps differ tenfold, by their timesteps."""
FACTOR = 5.0
"""A mean loss so many times that of the first steps is no fluctuation."""


class DivergenceGuard:
    """Callback that ends a run whose unweighted loss is far above where it began. It comes before the saver."""

    def __init__(self, metrics: Path) -> None:
        """The run's metrics tell how it began, so that a run that goes on is judged as if it had never stopped."""
        self._metrics = metrics
        self._losses: list[float] = []

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Reads the steps that were done before."""
        self._losses = [line["unweighted_loss"] for line in read_metrics(self._metrics) if "loss" in line]

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Raises `TrainingDiverged` when the last steps are far worse than the first."""
        self._losses.append(report.unweighted_loss)
        if len(self._losses) < 2 * WINDOW:
            return
        first, last = (sum(losses) / WINDOW for losses in (self._losses[:WINDOW], self._losses[-WINDOW:]))
        if last > FACTOR * first:
            rate = max(report.learning_rates.values())
            raise TrainingDiverged(
                f"training diverged: at step {report.step} the loss of the last {WINDOW} steps is {last:.3g}, that of "
                f"the first was {first:.3g}. The run stands at its last save. Most likely the learning rate "
                f"({rate:g}) is too high for this network; lower it 3-10 times, or add warmup_steps."
            )

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Nothing to close."""
