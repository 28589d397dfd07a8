"""The training loop. Saving, previews, charts and stopping are callbacks.

The seed and the step alone decide which batch, noise and caption a step uses, so a loop started at step k repeats
exactly what an uninterrupted one does after k.
"""

import math
import time
from collections.abc import Sequence

import torch

from ..data.batch import Batch
from ..networks.weight_norms import NormReport, scale_weight_norms
from ..objective.objective import LossResult
from ..optimizers.build import effective_rates, set_rates
from ..optimizers.schedules import schedule_multiplier
from .batches import epoch_at
from .gradients import gradients
from .job import Callback, NoNumber, StopTraining, TrainJob, TrainState
from .out_of_memory import is_out_of_memory, release_step
from .parallel import to_list
from .report import SampleLoss, StepReport
from .stage_optimizer import optimizer_for_stage
from .stages import stage_at


def train(job: TrainJob, state: TrainState, callbacks: Sequence[Callback]) -> TrainState:
    """Train from `state.step` to the end of the plan; the network must be attached.

    Every callback's `on_end` is called however training ends; `StopTraining` is a normal end.
    """
    error: BaseException | None = None
    try:
        for callback in callbacks:
            callback.on_start(job, state)
        while state.step < job.total_steps:
            report = train_step(job, state)
            for callback in callbacks:
                callback.on_step(job, state, report)
    except StopTraining:
        pass
    except BaseException as caught:
        error = caught
        if is_out_of_memory(caught):
            release_step(job.network, caught)
    job.network.train(False)
    error = _end(job, state, callbacks, error)
    try:
        if error is not None:
            raise error
    finally:
        del error  # The traceback refers to this frame: the cycle would keep network and optimizer in memory.
    return state


def _end(
    job: TrainJob, state: TrainState, callbacks: Sequence[Callback], error: BaseException | None
) -> BaseException | None:
    """The error to end with: a failed `on_end` takes precedence over, and refers to, what ended the loop."""
    for callback in callbacks:
        try:
            callback.on_end(job, state, error)
        except BaseException as failure:
            if type(failure) is not type(error):
                failure.__cause__ = error
                error = failure
    try:
        return error
    finally:
        del error  # no cycle with this frame either


MOST_LEFT_OUT = 3
"""Consecutive steps without finite numbers in float16 before training is given up."""


def train_step(job: TrainJob, state: TrainState) -> StepReport:
    """One optimizer step over `grad_accumulation_steps` batches.

    Raises:
        NoNumber: Loss or gradient is not finite; the weights are unchanged.
    """
    started = time.perf_counter()
    index = stage_at(job.stages, state.step)
    planned = job.stages[index]
    optimizer = optimizer_for_stage(job, state, index)
    multiplier = schedule_multiplier(planned.optimizer.schedule, state.step - planned.start, planned.steps)
    set_rates(optimizer, multiplier * state.rate_factor)

    job.network.train(True)
    results, grad_norm = gradients(job, state, planned)
    loss = sum(float(result.loss_B.mean()) for result, _ in results) / len(results)
    is_left_out = not math.isfinite(loss) or not math.isfinite(grad_norm)
    if is_left_out:
        optimizer.zero_grad(set_to_none=True)
        _leave_out(job, state, NoNumber(loss, grad_norm))
        loss, grad_norm = 0.0, 0.0
    norms = None if is_left_out else _update(job, state, optimizer)

    losses = (sample for result, batch in results for sample in _sample_losses(result, batch))
    samples = tuple(sample for sample in losses if math.isfinite(sample.loss))
    return StepReport(
        step=state.step,
        total_steps=job.total_steps,
        stage=index,
        epoch=epoch_at(job, state.step),
        loss=loss,
        unweighted_loss=sum(sample.loss for sample in samples) / max(1, len(samples)),
        grad_norm=grad_norm,
        learning_rates=effective_rates(optimizer),
        samples=samples,
        seconds=time.perf_counter() - started,
        keys_scaled=norms.keys_scaled if norms else 0,
        max_key_norm=norms.max_norm if norms else None,
        is_left_out=is_left_out,
    )


def _leave_out(job: TrainJob, state: TrainState, error: NoNumber) -> None:
    """Skip a step that overflowed float16, which single images can cause; weights and optimizer stay unchanged.

    Raises:
        NoNumber: The model does not compute in float16, or too many consecutive steps overflowed.
    """
    if job.base.loss_scale == 1.0 or state.left_out >= MOST_LEFT_OUT or not state.step:
        raise error
    state.left_out += 1
    state.step += 1


def _update(job: TrainJob, state: TrainState, optimizer: torch.optim.Optimizer) -> NormReport | None:
    """Change the weights; nothing may be saved while this runs."""
    state.is_consistent = False
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    max_norm = job.objective.scale_weight_norms
    trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norms = scale_weight_norms(job.network.adapters, max_norm, trained) if max_norm else None
    if state.ema is not None:
        decay = job.stages[state.optimizer_stage].optimizer.ema_decay
        state.ema.update(job.network.named_parameters(), state.step, decay)
    state.step += 1
    state.left_out = 0
    state.is_consistent = True
    return norms


def _sample_losses(result: LossResult, batch: Batch) -> list[SampleLoss]:
    losses, timesteps = to_list(result.unweighted_B), to_list(result.timestep_B)
    figures = enumerate(zip(batch.image_ids, timesteps, losses, strict=True))
    return [SampleLoss(image, int(t), loss, place in result.kept) for place, (image, t, loss) in figures]
