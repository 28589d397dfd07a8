"""What the host adds to a run: progress bar, cancel button, previews on the node."""

import logging
from collections.abc import Sequence

from comfy.model_management import InterruptProcessingException
from torch import Tensor
from tqdm.auto import tqdm

from ...training.loop.job import Callback, TrainJob, TrainState
from ...training.loop.report import StepReport
from ...training.run.saver import Saver
from ...training.watch.prediction_check import likeness_to_noise, prediction_warning
from .host.spill import spill_warning
from .page.live import RunEvents
from .page.progress import NodeProgress, sheet
from .preview_store import PreviewStore

SMOOTHING_STEPS = 20
SPILL_STEPS = 50
"""Steps between checks of the GPU memory."""


class ShownPreviews:
    """Saves a run's previews on disk, shows them on the node and sends them to pages."""

    def __init__(self, store: PreviewStore, progress: NodeProgress, events: RunEvents, total_steps: int) -> None:
        self._store = store
        self._progress = progress
        self._events = events
        self._total_steps = total_steps
        self._picture: Tensor | None = None
        self.step = -1
        """Step of the last previews."""
        self.failure = ""
        """Error of the last previews; empty if all could be drawn."""

    def __call__(self, step: int, pictures: Sequence[Tensor]) -> None:
        """Receive the pictures of a step, one per prompt."""
        self._picture = sheet([list(pictures)])[0]
        self._progress.update(step, self._total_steps, self._picture)
        self._store.save(step, pictures)
        self.step = step
        self._events.send("sample", {"step": step, "set": self._store.key})

    def fail(self, step: int, error: Exception) -> None:
        """Report that the pictures of a step are missing; the cancel button, an Exception in older hosts, stays one."""
        if isinstance(error, InterruptProcessingException):
            raise error
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        self.failure = f"no preview at step {step}: {reason}"
        logging.warning("[LoRA Bakery] %s", self.failure)

    def take_picture(self) -> Tensor | None:
        """Pictures drawn since the last call, to be shown with the next step."""
        picture, self._picture = self._picture, None
        return picture


class HostProgress(Callback):
    """Callback that shows each step on the node and in the terminal, and checks the host's cancel button."""

    def __init__(
        self, progress: NodeProgress, events: RunEvents, opening: str, saver: Saver, previews: ShownPreviews
    ) -> None:
        """`opening` says whether the run is new or continued; it stays beside the metrics."""
        self._previews = previews
        self._saver = saver
        self._progress = progress
        self._opening = opening
        self._events = events
        self._losses: list[float] = []
        self._seconds: list[float] = []
        self._bar: tqdm | None = None
        self._spill: str | None = None
        self._left_out = 0
        self._is_scale_told = False

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Open the progress bars; for a new run, first test what the model predicts."""
        if not state.step:
            self._warn_of(contradiction(job))
        self._bar = tqdm(total=job.total_steps, initial=state.step, unit="step", desc="LoRA Bakery")
        self._progress.update(state.step, job.total_steps)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Show the step; raises the host's exception if the user canceled."""
        if report.is_left_out:
            self._left_out += 1
        else:
            self._losses = [*self._losses[1 - SMOOTHING_STEPS :], report.loss]
        self._seconds = [*self._seconds[1 - SMOOTHING_STEPS :], report.seconds]
        smoothed = sum(self._losses) / max(1, len(self._losses))
        if state.loss_scale is not None and not self._is_scale_told:
            self._is_scale_told = True
            self._warn_of(rescaled(job, state.loss_scale))
        assert self._bar is not None
        self._bar.update(1)
        self._bar.set_postfix(loss=f"{smoothed:.4f}", refresh=False)
        # Of steps alone: previews, pauses and saves in between would make the remaining time jump.
        rate = len(self._seconds) / sum(self._seconds)
        left_s = (job.total_steps - report.step) / rate
        if report.step % SPILL_STEPS == 2 and self._spill is None:
            self._spill = spill_warning(job.base.device)
            if self._spill:
                logging.warning("[LoRA Bakery] %s", self._spill)
        line = f"step {report.step}/{job.total_steps} · loss {smoothed:.4f} · {rate:.2f} it/s · {clock(left_s)} left"
        lost = f"{self._left_out} steps left out: float16 overflowed" if self._left_out else ""
        notes = [self._opening, *self._saver.told, lost, self._previews.failure, self._spill]
        self._progress.text(" · ".join(filter(None, [line, *notes])))
        if not report.is_left_out:
            self._events.step(report, smoothed, rate, left_s, self._saver.saved_step)
        self._progress.update(report.step, job.total_steps, self._previews.take_picture())

    def _warn_of(self, warning: str) -> None:
        """Log a warning now, and show it beside the metrics from now on."""
        if warning:
            logging.warning("[LoRA Bakery] %s", warning)
            self._opening = f"{warning} · {self._opening}"

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Close the terminal's progress bar."""
        if self._bar is not None:
            self._bar.close()


class SaveShown(Callback):
    """Callback after the previewer: saves a LoRA for each step with pictures, so that it can be picked."""

    def __init__(self, saver: Saver, previews: ShownPreviews) -> None:
        self._saver = saver
        self._previews = previews

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Save unless this step was saved already."""
        if self._previews.step == state.step != self._saver.saved_step:
            self._saver.save(job, state)


def contradiction(job: TrainJob) -> str:
    """A warning if the base model does not predict what its file says; else empty."""
    if job.base.prediction_type == "flow":
        return ""
    captions = job.data[0].distinct_captions() or ("",)
    with job.network.disabled():
        likeness = likeness_to_noise(job.base, job.texts(captions[:1])[0])
    return prediction_warning(job.base.prediction_type, likeness)


def rescaled(job: TrainJob, loss_scale: float) -> str:
    """What an overflow of float16 changed."""
    return (
        f"float16 overflowed at the usual loss scale of {job.base.loss_scale:.0f}; training continues at "
        f"{loss_scale:.0f}, with the same speed and result"
    )


def clock(seconds: float) -> str:
    """Seconds as h:mm:ss or m:ss."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
