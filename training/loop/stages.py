"""The plan of a run: its stages, how long each is, and which one a step belongs to."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from ..data.dataset import Dataset
from ..optimizers.settings import OptimizerSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Part of a run with its own length, batch size and optimizer."""

    steps: int | None = None
    """Optimizer steps, at least 1. None = use epochs."""
    epochs: float = 10.0
    """Passes over images x repeats, above 0. Ignored if steps are given."""
    batch_size: int = 1
    """Images per micro-step, at least 1."""
    grad_accumulation_steps: int = 1
    """Micro-steps per optimizer step, at least 1."""
    optimizer: OptimizerSettings | None = None
    """None = the previous stage's, or the run's."""
    keep_optimizer_state: bool = True
    """Keep the moments of the previous stage if the optimizer is the same. Off = reset them."""
    resolution: int | None = None
    """Train at the area of a square with this side, in pixels. None = the dataset's."""
    dataset: Dataset | None = field(default=None, repr=False)
    """Images for this stage alone. None = the run's."""

    def __post_init__(self) -> None:
        """Refuse stages that cannot be trained.

        Raises:
            ValueError: With field, allowed range and value.
        """
        for name, value, is_valid, wanted in (
            ("steps", self.steps, self.steps is None or self.steps >= 1, "at least 1"),
            ("epochs", self.epochs, self.epochs > 0, "above 0"),
            ("batch_size", self.batch_size, self.batch_size >= 1, "at least 1"),
            ("grad_accumulation_steps", self.grad_accumulation_steps, self.grad_accumulation_steps >= 1, "at least 1"),
            ("resolution", self.resolution, self.resolution is None or self.resolution >= 64, "at least 64 px"),
        ):
            if not is_valid:
                raise ValueError(f"{name} must be {wanted}, got {value}")


Plan = tuple[Stage, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedStage:
    """A stage and its position in the run."""

    stage: Stage
    optimizer: OptimizerSettings
    start: int
    """Steps of the run before this stage."""
    steps: int

    @property
    def end(self) -> int:
        """Steps of the run after this stage."""
        return self.start + self.steps


def stage_steps(stage: Stage, num_batches: int) -> int:
    """Optimizer steps of a stage with `num_batches` batches per epoch.

    Epochs are rounded up to whole steps, so that every image is seen.
    """
    if stage.steps is not None:
        return stage.steps
    steps = stage.epochs * num_batches / stage.grad_accumulation_steps
    return max(1, math.ceil(round(steps, 6)))  # 1.1 x 50 is slightly above 55 in floating point


def planned_stages(
    plan: Sequence[Stage], optimizer: OptimizerSettings, steps: Sequence[int]
) -> tuple[PlannedStage, ...]:
    """The stages in order; `optimizer` is for stages before the first one with its own."""
    optimizers = stage_optimizers(plan, optimizer)
    return tuple(
        PlannedStage(stage=stage, optimizer=settings, start=end - length, steps=length)
        for stage, settings, length, end in zip(plan, optimizers, steps, accumulate(steps), strict=True)
    )


def stage_at(stages: Sequence[PlannedStage], step: int) -> int:
    """Index of the stage that trains the optimizer step following `step` finished ones.

    Raises:
        ValueError: The step is outside the plan.
    """
    for index, stage in enumerate(stages):
        if stage.start <= step < stage.end:
            return index
    raise ValueError(f"step must be within the plan's {stages[-1].end} steps, got {step}")


def stage_optimizers(plan: Sequence[Stage], optimizer: OptimizerSettings) -> tuple[OptimizerSettings, ...]:
    """The optimizer of every stage: its own, else the previous stage's, else the run's."""
    found: list[OptimizerSettings] = []
    for stage in plan:
        optimizer = stage.optimizer or optimizer
        found.append(optimizer)
    return tuple(found)
