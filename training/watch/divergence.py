"""Notices a run that blows up before its loss is no number.

The loss of a sample differs a hundredfold by its timestep, and tenfold by its image. So each is held against the mean
of earlier samples of its own band of timesteps, many are taken together, and no single one counts for much.
"""

from collections import deque
from collections.abc import Sequence

from ..loop.divergence_cause import likely_cause
from ..loop.job import Callback, TrainingDiverged, TrainJob, TrainState
from ..loop.report import SampleLoss, StepReport
from ..run.folder import RunFolder
from ..run.metrics import append_line, read_metrics
from .base_losses import base_losses
from .base_watch import BaseWatch, Excess

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


class DivergenceGuard(Callback):
    """Callback that ends a run that has gone wrong. It comes before the saver.

    Short runs are judged by the base model's own loss (`BaseWatch`), long ones also by what they were before.
    """

    def __init__(self, folder: RunFolder, *, is_fresh: bool = True) -> None:
        """The run's metrics tell how it began, so that a run that goes on is judged as if it had never stopped.

        `is_fresh` is False for one that began from the weights of another.
        """
        self._folder = folder
        self._is_fresh = is_fresh
        self._watch = LossWatch()

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Reads the steps that were done before."""
        self._watch = LossWatch()
        self._asked = dict[int, list[float]]()
        self._base_watch = BaseWatch(lambda step: self._base_losses(job, step), is_fresh=self._is_fresh)
        self._excess: Excess | None = None
        if state.step >= job.total_steps:
            return
        self._asked = {line["step"]: line["losses"] for line in read_metrics(self._folder.base_losses)}
        for line in read_metrics(self._folder.metrics):
            if "samples" in line:
                samples = [SampleLoss(**sample) for sample in line["samples"]]
                self._take(line["step"], line["stage"], samples, line["grad_norm"])

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Raises `TrainingDiverged` when the latest samples are far worse than without the network, or than earlier."""
        self._take(report.step, report.stage, report.samples, report.grad_norm)
        if self._excess is None and not self._watch.is_diverged:
            return
        good_step = self._excess.good_step if self._excess else None
        raise TrainingDiverged(
            f"training diverged: at step {report.step} {self._finding()}. {self._where_it_stands(good_step)} "
            f"{likely_cause(job, report.stage, max(report.learning_rates.values()), state.rate_factor)}",
            good_step,
        )

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Lets go of job and state: in a cycle with them, network and optimizer would stay in memory."""
        self._base_watch = BaseWatch(lambda step: ())

    def _take(self, step: int, stage: int, samples: Sequence[SampleLoss], grad_norm: float) -> None:
        for sample in samples:
            if not sample.is_kept:  # its loss begins at 0 and only tells how far the network is from the base
                self._watch.add(sample.timestep, sample.loss)
        self._excess = self._base_watch.add(step, stage, samples, grad_norm)

    def _base_losses(self, job: TrainJob, step: int) -> list[float]:
        """Asked once: they are the same at any later time, so they are noted for a run that goes on."""
        if step not in self._asked:
            self._asked[step] = base_losses(job, step)
            append_line(self._folder.base_losses, {"step": step, "losses": self._asked[step]})
        return self._asked[step]

    def _finding(self) -> str:
        excess = self._excess
        if excess is None:
            return (
                f"the loss of the last {WINDOW} samples is {self._watch.ratio:.3g} times what it was before at the "
                "same timesteps"
            )
        if excess.best_step is None:
            return (
                f"the loss of the last {excess.num_samples} samples is {excess.ratio:.3g} times that of the base model "
                "on the same images and noise: the network is worse than none"
            )
        return (
            f"the loss of the last {excess.num_samples} samples is {excess.ratio:.3g} times what it was at step "
            f"{excess.best_step}, and the gradients have grown with it"
        )

    def _where_it_stands(self, good_step: int | None) -> str:
        if good_step is None:
            return "The run stands at its last save; an earlier step may be better."
        saved, lora = (
            max((step for step in files if step <= good_step), default=0)
            for files in (self._folder.states(), self._folder.step_loras())
        )
        if saved:
            return f"The run stands at step {saved}, its last save before it went wrong."
        if lora:
            return f"The LoRAs up to step {lora} are from before it went wrong; the run itself begins anew."
        return "Nothing was saved before it went wrong."
