"""What is trained, what changes meanwhile, and who hears of it."""

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
    """Raised by a callback to end the run here and keep what was trained."""


class TrainingDiverged(RuntimeError):
    """The loss is no number any more, or far above where it began; the weights of this step are worth nothing."""

    def __init__(self, message: str, good_step: int | None = None) -> None:
        """`good_step` is the latest at which nothing was wrong; what was saved after it is worth nothing either."""
        super().__init__(message)
        self.good_step = good_step


class NoNumber(TrainingDiverged):
    """Loss or gradient of a step is not finite."""

    def __init__(self, loss: float, grad_norm: float) -> None:
        super().__init__(f"a step gives no numbers: loss {loss}, gradient norm {grad_norm}")
        self.loss = loss
        self.grad_norm = grad_norm

    @property
    def is_loss_finite(self) -> bool:
        """False where the model itself may give no numbers."""
        return math.isfinite(self.loss)


class TextSource(Protocol):
    """Captions in, conditioning out: cached, or encoded with gradients."""

    def __call__(self, captions: Sequence[str]) -> Sequence[TextConditioning]:
        """Conditioning of each caption, in order."""
        ...


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """Everything that decides the weights a run ends with."""

    base: BaseModel
    network: Network
    objective: ObjectiveSettings
    stages: tuple[PlannedStage, ...]
    data: tuple[PreparedDataset, ...]
    """What each stage trains."""
    texts: TextSource
    seed: int
    ranks: Ranks = ALONE
    """The processes that train it together; they decide nothing but the order of summation."""

    @property
    def total_steps(self) -> int:
        """Optimizer steps of all stages."""
        return self.stages[-1].end


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
    left_out: int = 0
    """Steps in a row, up to now, that gave no numbers in float16 and changed nothing."""
    rate_changes: RateChanges = ()
    """The learning rate changed by hand; the run's record keeps them, so that one who goes on has them again."""

    @property
    def rate_factor(self) -> float:
        """What the learning rate of the coming step is multiplied by."""
        return factor_after(self.rate_changes, self.step)


class Callback:
    """Hears of a run and does nothing; subclasses override what they need.

    `on_step` may raise `StopTraining`, or anything else to cancel.
    """

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Before the first step done now; there may be none."""

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """After each optimizer step."""

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """On every way out, with what ended the run early, if anything but `StopTraining` did."""
