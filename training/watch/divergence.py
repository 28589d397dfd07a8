"""Ends a diverged run before its next save."""

from dataclasses import replace

import torch

from ..loop.batches import batch_at
from ..loop.job import Callback, TrainJob, TrainState
from ..loop.parallel import rows_of, to_list
from ..loop.report import SampleLoss, StepReport
from ..loop.stages import stage_at
from ..networks.share import Share
from ..objective.objective import Draws, diffusion_loss
from ..run.folder import RunFolder
from ..run.lines import LineFile, read_lines
from .explanation import diverged
from .judge import Judge
from .measure import MAX_BATCH


class DivergenceGuard(Callback):
    """Passes every step to the judge and ends the run if it finds an excess. Comes before the saver."""

    def __init__(self, folder: RunFolder, base_losses: LineFile, *, is_fresh: bool = True) -> None:
        """The run's metrics show its history, so that a resumed run is judged like an uninterrupted one.

        `base_losses` takes what is measured for that. `is_fresh` is False for a run that starts from the weights of
        another.
        """
        self._folder = folder
        self._base_file = base_losses
        self._is_fresh = is_fresh
        self._judge = Judge(lambda step: ())
        self._asked: dict[int, list[float]] = {}
        self._begun_at = 0

    @property
    def good_step(self) -> int:
        """Latest step so far at which nothing looked wrong."""
        return self._judge.good_step

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Judge the steps that were done before."""
        self._judge = Judge(lambda step: self._base_losses(job, step), is_fresh=self._is_fresh)
        self._begun_at = state.step
        if state.step >= job.total_steps:
            return
        self._asked = {line["step"]: line["losses"] for line in read_lines(self._folder.base_losses)}
        for line in read_lines(self._folder.metrics):
            if "samples" in line:
                samples = [SampleLoss(**sample) for sample in line["samples"]]
                self._judge.add(line["step"], line["stage"], samples, line["grad_norm"])

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Raise `TrainingDiverged` if the latest samples have a far higher loss than they should."""
        if report.is_left_out:
            return
        excess = self._judge.add(report.step, report.stage, report.samples, report.grad_norm)
        if excess is not None:
            # What a queue before this one ended with, somebody may use.
            good_step = max(excess.good_step, self._begun_at)
            raise diverged(job, state, replace(excess, good_step=good_step), self._folder)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Release job and state: a cycle with them would keep network and optimizer in memory."""
        self._judge = Judge(lambda step: ())

    def _base_losses(self, job: TrainJob, step: int) -> list[float]:
        """Measured once and saved, since they never change and a resumed run needs them."""
        if step not in self._asked:
            self._asked[step] = base_losses(job, step)
            self._base_file.append({"step": step, "losses": self._asked[step]})
        return self._asked[step]


@torch.no_grad()
def base_losses(job: TrainJob, step: int) -> list[float]:
    """Unweighted loss without the network of every sample of a step (from 1), in the order of its report.

    The seed determines images, captions, noise and timesteps, so they are those of the step. Few samples are computed
    at a time, which never needs more memory than the step itself.
    """
    objective = replace(job.objective, prior_preservation="off")
    stage = job.stages[stage_at(job.stages, step - 1)].stage
    losses: list[float] = []
    with job.network.disabled():
        for micro in range(stage.grad_accumulation_steps):
            whole = batch_at(job, step - 1, micro)
            size = len(whole.captions)
            for first in range(0, size, MAX_BATCH):
                batch = rows_of(whole, Share(first=first, count=min(MAX_BATCH, size - first), whole=size))
                draws = Draws(seed=job.seed, step=step - 1, micro_step=micro, sample_offset=first)
                result = diffusion_loss(job.base, job.network, batch, job.texts(batch.captions), objective, draws)
                losses += to_list(result.unweighted_B)
    return losses
