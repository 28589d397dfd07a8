"""Notices a run that blows up before its loss is no number.

The loss of a sample differs a hundredfold by its timestep, and tenfold by its image. So each is held against the mean
of earlier samples of its own band of timesteps, many are taken together, and no single one counts for much.
"""

from collections import deque
from collections.abc import Iterable
from pathlib import Path

from .job import TrainingDiverged, TrainJob, TrainState
from .report import SampleLoss, StepReport
from .run.metrics import read_metrics

BAND_WIDTH = 100
"""Timesteps that share one expected loss."""
WINDOW = 200
"""Latest samples judged together; what is older tells what to expect."""
CHECK_EVERY = 50
"""Samples between two looks at the window."""
CHECKS = 5
"""Looks in a row that must find the excess: the last one shares no sample with the first."""
FACTOR = 3.0
"""A window so many times above what is expected is no fluctuation."""
MIN_EXPECTING = 100
"""Older samples needed before any window is judged."""
MIN_IN_BAND = 5
"""Older samples a band needs before its newer ones are judged."""
MAX_SAMPLE_FACTOR = 10.0
"""A single sample counts at most so many times what is expected of it, so that outliers alone are never an excess."""


class LossWatch:
    """Ratio of the latest losses to what earlier ones lead to expect, sample by sample."""

    def __init__(self) -> None:
        self._window: deque[tuple[int, float]] = deque()
        self._sums: dict[int, float] = {}
        self._counts: dict[int, int] = {}
        self._num_seen = self._num_older = 0
        self.num_excessive = 0
        """Looks in a row that found an excess."""
        self.ratio = 1.0
        """Of the last look."""

    @property
    def is_diverged(self) -> bool:
        """True once the excess has lasted."""
        return self.num_excessive >= CHECKS

    def add(self, timestep: int, loss: float) -> None:
        """Takes in one sample's unweighted loss."""
        self._window.append((timestep // BAND_WIDTH, loss))
        if len(self._window) > WINDOW:
            band, older = self._window.popleft()
            if not self.num_excessive:  # an explosion must not become what is expected
                self._sums[band] = self._sums.get(band, 0.0) + older
                self._counts[band] = self._counts.get(band, 0) + 1
                self._num_older += 1
        self._num_seen += 1
        if self._num_older >= MIN_EXPECTING and self._num_seen % CHECK_EVERY == 0:
            self.ratio = self._ratio()
            self.num_excessive = self.num_excessive + 1 if self.ratio > FACTOR else 0

    def _ratio(self) -> float:
        means = {band: self._sums[band] / count for band, count in self._counts.items() if count >= MIN_IN_BAND}
        judged = [(loss, means[band]) for band, loss in self._window if band in means]
        expected = sum(mean for _, mean in judged)
        return sum(min(loss, MAX_SAMPLE_FACTOR * mean) for loss, mean in judged) / expected if expected else 1.0


class DivergenceGuard:
    """Callback that ends a run whose unweighted loss stays far above what it was. It comes before the saver."""

    def __init__(self, metrics: Path) -> None:
        """The run's metrics tell how it began, so that a run that goes on is judged as if it had never stopped."""
        self._metrics = metrics
        self._watch = LossWatch()

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Reads the steps that were done before."""
        self._watch = LossWatch()
        for line in read_metrics(self._metrics):
            self._take(SampleLoss(**sample) for sample in line.get("samples", ()))

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Raises `TrainingDiverged` when the latest samples are far worse than earlier ones."""
        self._take(report.samples)
        if self._watch.is_diverged:
            rate = max(report.learning_rates.values())
            raise TrainingDiverged(
                f"training diverged: at step {report.step} the loss of the last {WINDOW} samples is "
                f"{self._watch.ratio:.3g} times what it was before at the same timesteps. The run stands at its last "
                f"save; an earlier step may be better. Most likely the learning rate ({rate:g}) is too high for this "
                "network; lower it 3-10 times, or add warmup_steps."
            )

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Nothing to close."""

    def _take(self, samples: Iterable[SampleLoss]) -> None:
        for sample in samples:
            if not sample.is_kept:  # its loss begins at 0 and only tells how far the network is from the base
                self._watch.add(sample.timestep, sample.loss)
