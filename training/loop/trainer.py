"""The training loop. Saving, previews, charts and stopping are callbacks.

The seed and the step alone decide which batch, noise and caption a step uses, so a loop started at step k repeats
exactly what an uninterrupted one does after k.
"""

import math
import time
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from ..data.batch import Batch
from ..devices import by_device
from ..networks.weight_norms import NormReport, scale_weight_norms
from ..objective.objective import Draws, LossResult, captions_to_encode, diffusion_loss
from ..objective.timesteps import draw_timesteps
from ..optimizers.build import effective_rates, set_rates
from ..optimizers.schedules import schedule_multiplier
from .batches import batch_at, epoch_at
from .job import Callback, NoNumber, StopTraining, TrainJob, TrainState
from .out_of_memory import is_out_of_memory, release_step
from .parallel import Part, add_up_gradients, joined, rows_of, share_of, to_list
from .report import SampleLoss, StepReport
from .stage_optimizer import optimizer_for_stage
from .stages import PlannedStage, stage_at


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
RESCALE = 16.0
"""Divisor of the loss scale when gradients overflow."""


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
    results, grad_norm = gradients(job, state.step, planned)
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


def gradients(job: TrainJob, step: int, planned: PlannedStage) -> tuple[list[tuple[LossResult, Batch]], float]:
    """Losses of a step's batches and the norm of their gradients, which are clipped.

    If the base model computes in fp16, the loss is scaled up. Gradients that overflow are computed again with a smaller
    scale; each step starts with the full scale, so that it depends on nothing before it.
    """
    micro_steps = range(planned.stage.grad_accumulation_steps)
    scale = job.base.loss_scale
    while True:
        parts = [_backward(job, step, micro, scale / len(micro_steps)) for micro in micro_steps]
        add_up_gradients(job.ranks, [p for _, p in job.network.named_parameters() if p.requires_grad])
        parameters = [p for _, p in job.network.named_parameters() if p.grad is not None]
        _unscale(parameters, scale)
        norm = clip_grad_norm_(parameters, planned.optimizer.max_grad_norm or math.inf)
        parts, grad_norm = _read(parts, norm)
        results = joined(job.ranks, parts)
        is_overflow = not math.isfinite(grad_norm) and _are_finite(results)  # no scale would help
        if scale <= 1.0 or not is_overflow:
            return results, grad_norm
        for parameter in parameters:
            parameter.grad = None
        scale = max(1.0, scale / RESCALE)


def _leave_out(job: TrainJob, state: TrainState, error: NoNumber) -> None:
    """Skip a step that overflowed float16, which single images can cause; weights and optimizer stay unchanged.

    Raises:
        NoNumber: The model does not compute in float16, or too many consecutive steps overflowed.
    """
    if job.base.loss_scale == 1.0 or state.left_out >= MOST_LEFT_OUT or not state.step:
        raise error
    state.left_out += 1
    state.step += 1


def _unscale(parameters: Sequence[nn.Parameter], scale: float) -> None:
    """Divide the gradients by the loss scale, in one kernel per device."""
    if scale == 1.0:
        return
    for together in by_device(p.grad for p in parameters if p.grad is not None).values():
        torch._foreach_mul_(together, 1.0 / scale)  # pyright: ignore


def _are_finite(results: Sequence[tuple[LossResult, Batch]]) -> bool:
    return all(bool(result.loss_B.isfinite().all()) for result, _ in results)


def _read(parts: Sequence[Part], norm: Tensor) -> tuple[list[Part], float]:
    """Read the losses and the norm in the only synchronization with the device per step."""
    results = [part.result for part in parts if part.result is not None]
    losses = [loss.detach() for result in results for loss in (result.loss_B, result.unweighted_B)]
    numbers = iter(to_list(torch.cat([*(loss.to(norm.device) for loss in losses), norm.reshape(1)])))
    read = iter([torch.tensor([next(numbers) for _ in range(len(loss))]) for loss in losses])
    parts = [part if part.result is None else part.with_losses(next(read), next(read)) for part in parts]
    return parts, next(numbers)


def _backward(job: TrainJob, step: int, micro: int, scale: float) -> Part:
    whole = batch_at(job, step, micro)
    share = share_of(job.ranks, len(whole.captions))
    if not share.count:
        return Part(None, share, whole)
    batch = rows_of(whole, share)
    job.network.begin(job.seed, step, micro, share)
    texts = job.texts(captions_to_encode(batch.captions, job.objective))
    draws = Draws(seed=job.seed, step=step, micro_step=micro, sample_offset=share.first)
    num_timesteps = len(job.base.alphas_cumprod)
    timestep_B = draw_timesteps(job.objective, draws, len(batch.captions), num_timesteps)
    job.network.see_noise((timestep_B / num_timesteps).to(job.base.device))
    result = diffusion_loss(job.base, job.network, batch, texts, job.objective, draws)
    loss: Tensor = result.loss_B.mean() * (scale * share.weight)
    loss.backward()  # pyright: ignore[reportUnknownMemberType]
    return Part(result, share, whole)


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
