"""The train loop: batches in, optimizer steps out. Saving, previews, charts and stopping are callbacks.

A run is a function of its settings: which batch, noise and caption a step sees depends on the seed and the step
alone, so a loop started at step k repeats exactly what an uninterrupted one does after k.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from .base_model import BaseModel, TextConditioning
from .data.batch import Batch
from .data.prepared import PreparedDataset
from .ema import Ema
from .networks.network import Network
from .objective.objective import Draws, LossResult, ObjectiveSettings, captions_to_encode, diffusion_loss
from .optimizers.build import build_optimizer, effective_rates, set_rates
from .optimizers.schedules import schedule_multiplier
from .optimizers.settings import OptimizerSettings
from .optimizers.state import load_optimizer_state, optimizer_state
from .report import SampleLoss, StepReport
from .stages import Stage, StagePosition, locate


class StopTraining(Exception):
    """Raised by a callback to end the run here and keep what was trained."""


class TextSource(Protocol):
    """Captions in, conditioning out: cached, or encoded with gradients."""

    def __call__(self, captions: Sequence[str]) -> Sequence[TextConditioning]: ...


@dataclass(frozen=True, kw_only=True)
class StagePlan:
    """One stage made concrete: how many steps, on which data, with which optimizer."""

    stage: Stage
    steps: int
    data: PreparedDataset
    optimizer: OptimizerSettings


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """Everything that decides the weights a run ends with."""

    base: BaseModel
    network: Network
    objective: ObjectiveSettings
    stages: tuple[StagePlan, ...]
    texts: TextSource
    seed: int

    @property
    def total_steps(self) -> int:
        return sum(plan.steps for plan in self.stages)


@dataclass(kw_only=True)
class TrainState:
    """What changes while training; `training/run/state.py` writes it to disk."""

    step: int = 0
    """Optimizer steps done in the whole run."""
    optimizer: torch.optim.Optimizer | None = None
    optimizer_stage: int = -1
    """Stage the optimizer was built for."""
    ema: Ema | None = None
    is_consistent: bool = True
    """False only while the weights are being changed."""
    rate_factor: float = 1.0
    """Manual multiplier of the learning rate, set while the run goes on."""
    history: list[float] = field(default_factory=list)
    """Loss of every step done by this process."""


class Callback(Protocol):
    """Hears of a run. `on_step` may raise `StopTraining`, or anything else to cancel."""

    def on_start(self, job: TrainJob, state: TrainState) -> None: ...
    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None: ...
    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None: ...


class TrainingDiverged(RuntimeError):
    """The loss is no longer a number."""


def train(job: TrainJob, state: TrainState, callbacks: Sequence[Callback]) -> TrainState:
    """Runs from `state.step` to the end of the plan; the network must be attached.

    `on_end` is called on every way out, with the error if there was one; `StopTraining` is a normal end.
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
        raise
    finally:
        job.network.train(False)
        for callback in callbacks:
            callback.on_end(job, state, error)
    return state


def train_step(job: TrainJob, state: TrainState) -> StepReport:
    """One optimizer step of `grad_accumulation_steps` batches."""
    started = time.perf_counter()
    position = locate([plan.steps for plan in job.stages], state.step)
    plan = job.stages[position.index]
    optimizer = optimizer_for_stage(job, state, position.index)
    multiplier = schedule_multiplier(plan.optimizer.schedule, position.step, plan.steps)
    set_rates(optimizer, multiplier * state.rate_factor)

    job.network.train(True)
    results = [_backward(job, state, position, micro) for micro in range(plan.stage.grad_accumulation_steps)]
    parameters = [p for _, p in job.network.named_parameters() if p.grad is not None]
    grad_norm = float(clip_grad_norm_(parameters, plan.optimizer.max_grad_norm or math.inf))
    loss = sum(float(result.loss_B.detach().mean()) for result, _, _ in results) / len(results)
    if not math.isfinite(loss) or not math.isfinite(grad_norm):
        optimizer.zero_grad(set_to_none=True)
        raise TrainingDiverged(
            _divergence_message(state.step + 1, loss, grad_norm, max(effective_rates(optimizer).values()))
        )

    state.is_consistent = False
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    norms = (
        job.network.scale_weight_norms(job.objective.scale_weight_norms) if job.objective.scale_weight_norms else None
    )
    if state.ema is not None:
        state.ema.update(job.network.named_parameters(), state.step)
    state.step += 1
    state.is_consistent = True

    samples = tuple(sample for result, batch, _ in results for sample in _sample_losses(result, batch))
    return StepReport(
        step=state.step,
        total_steps=job.total_steps,
        stage=position.index,
        epoch=results[-1][2],
        loss=loss,
        unweighted_loss=sum(sample.loss for sample in samples) / len(samples),
        grad_norm=grad_norm,
        learning_rates=effective_rates(optimizer),
        samples=samples,
        seconds=time.perf_counter() - started,
        keys_scaled=norms.keys_scaled if norms else 0,
        max_key_norm=norms.max_norm if norms else None,
    )


def optimizer_for_stage(job: TrainJob, state: TrainState, index: int) -> torch.optim.Optimizer:
    """The optimizer of a stage, built when the stage begins; it takes over the moments of an equal one before."""
    if state.optimizer is not None and state.optimizer_stage == index:
        return state.optimizer
    plan, before = job.stages[index], state.optimizer
    optimizer = build_optimizer(plan.optimizer, job.network.parameter_groups())
    if before is not None and plan.stage.keep_optimizer_state and type(before) is type(optimizer):
        load_optimizer_state(optimizer, *optimizer_state(before))
    state.optimizer, state.optimizer_stage = optimizer, index
    return optimizer


def _backward(job: TrainJob, state: TrainState, position: StagePosition, micro: int) -> tuple[LossResult, Batch, int]:
    accumulation = job.stages[position.index].stage.grad_accumulation_steps
    batch, epoch = batch_at(job, position.index, position.step * accumulation + micro, state.step)
    job.network.begin(job.seed, state.step, micro)
    texts = job.texts(captions_to_encode(batch.captions, job.objective))
    draws = Draws(seed=job.seed, step=state.step, micro_step=micro)
    result = diffusion_loss(job.base, job.network, batch, texts, job.objective, draws)
    (result.loss_B.mean() / accumulation).backward()
    return result, batch, epoch


def batch_at(job: TrainJob, index: int, place: int, step: int) -> tuple[Batch, int]:
    """The batch at a place of a stage, and its epoch; epochs count on from stage to stage."""
    plan = job.stages[index]
    epoch, place_in_epoch = divmod(place, plan.data.num_batches(plan.stage.batch_size))
    epoch += sum(_epochs_begun(earlier) for earlier in job.stages[:index])
    batch_plan = plan.data.epoch(plan.stage.batch_size, job.seed, epoch)[place_in_epoch]
    return plan.data.load(batch_plan, job.seed, epoch, step, job.total_steps), epoch


def _epochs_begun(plan: StagePlan) -> int:
    batches = plan.steps * plan.stage.grad_accumulation_steps
    return math.ceil(batches / plan.data.num_batches(plan.stage.batch_size))


def _sample_losses(result: LossResult, batch: Batch) -> list[SampleLoss]:
    losses: list[float] = _to_list(result.unweighted_B)
    timesteps: list[float] = _to_list(result.timestep_B)
    return [SampleLoss(i, int(t), loss) for i, t, loss in zip(batch.image_ids, timesteps, losses, strict=True)]


def _to_list(values: Tensor) -> list[float]:
    return [float(value) for value in values.detach().cpu()]


def _divergence_message(step: int, loss: float, grad_norm: float, rate: float) -> str:
    return (
        f"training diverged at step {step}: loss {loss}, gradient norm {grad_norm}. The weights of the last good step "
        f"are kept. Most likely the learning rate ({rate:g}) is too high for this network; lower it 3-10 times, "
        "add warmup_steps, or set max_grad_norm to 1."
    )
