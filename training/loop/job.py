"""The types of the loop: what is trained, its changing state, and the callbacks."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from ..base_model import BaseModel, TextConditioning
from ..data.prepared import PreparedDataset
from ..networks.network import Network
from ..objective.settings import ObjectiveSettings
from ..optimizers.ema import Ema
from .parallel import ALONE, Ranks
from .rate_changes import RateChanges, factor_after
from .report import StepReport
from .stages import PlannedStage


class StopTraining(Exception):
    """Raised by a callback to end the run now and keep what was trained."""


class TrainingDiverged(RuntimeError):
    """The loss is not finite, or far above its initial level; the weights of this step are useless."""

    def __init__(self, message: str, good_step: int | None = None) -> None:
        """`good_step` is the last step without a fault; what was saved after it is useless too."""
        super().__init__(message)
        self.good_step = good_step


class NoNumber(TrainingDiverged):
    """Loss or gradient of a step is not finite."""

    def __init__(self, loss: float, grad_norm: float) -> None:
        super().__init__(f"the numbers of a step are not finite: loss {loss}, gradient norm {grad_norm}")
        self.loss = loss
        self.grad_norm = grad_norm

    @property
    def is_loss_finite(self) -> bool:
        """False if the model itself may produce non-finite numbers."""
        return math.isfinite(self.loss)


class TextSource(Protocol):
    """Returns conditioning for captions: cached, or encoded with gradients."""

    def __call__(self, captions: Sequence[str]) -> Sequence[TextConditioning]:
        """Conditioning of each caption, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """Everything that determines the weights a run ends with."""

    base: BaseModel
    network: Network
    objective: ObjectiveSettings
    stages: tuple[PlannedStage, ...]
    data: tuple[PreparedDataset, ...]
    """Data of each stage."""
    texts: TextSource
    seed: int
    ranks: Ranks = ALONE
    """The processes that train the run together; they affect nothing but the order of summation."""

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all stages."""
        return self.stages[-1].end


@dataclass(kw_only=True)
class TrainState:
    """What changes during training; `training/run/state.py` saves it."""

    step: int = 0
    """Optimizer steps done in the run."""
    optimizer: torch.optim.Optimizer | None = None
    optimizer_stage: int = -1
    """Stage that the optimizer was built for."""
    ema: Ema | None = None
    is_consistent: bool = True
    """False only while the weights are being changed."""
    left_out: int = 0
    """Consecutive steps, up to now, skipped because float16 gave no finite numbers."""
    loss_scale: float | None = None
    """Loss scale that the last steps needed; None = the base model's."""
    rate_changes: RateChanges = ()
    """Changes of the learning rate by hand; the run's record keeps them for resuming."""

    @property
    def rate_factor(self) -> float:
        """Factor on the learning rate of the next step."""
        return factor_after(self.rate_changes, self.step)


class Callback:
    """Receives the events of a run; the methods do nothing, so subclasses override what they need.

    `on_step` may raise `StopTraining`, or anything else to cancel.
    """

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Called before the first step of this session; there may be no step."""

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """After each optimizer step."""

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Called however training ends; `error` is what ended it early, except `StopTraining`."""
