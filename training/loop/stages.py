"""A plan of stages in one run: how long each is, and which one a step belongs to."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ..data.dataset import Dataset
from ..optimizers.settings import OptimizerSettings


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """Part of a run with its own length, batch and optimizer."""

    steps: int | None = None
    """Optimizer steps, at least 1. None = epochs decide."""
    epochs: float = 10.0
    """Passes over images x repeats, above 0. Not used where steps are given."""
    batch_size: int = 1
    """Images per micro-step, at least 1."""
    grad_accumulation_steps: int = 1
    """Micro-steps per optimizer step, at least 1."""
    optimizer: OptimizerSettings | None = None
    """None = the one of the stage before, or of the run."""
    keep_optimizer_state: bool = True
    """Go on with the moments of the stage before, where it has the same optimizer. Off = start them anew."""
    resolution: int | None = None
    """Side in pixels of a square with the area to train at. None = the dataset's."""
    dataset: Dataset | None = field(default=None, repr=False)
    """Images of this stage alone. None = the run's."""

    def __post_init__(self) -> None:
        """Refuses stages that cannot be trained.

        Raises:
            ValueError: With the name, the range and the value of the field.
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
NumBatches = Callable[[Stage], int]
"""Batches of one epoch of a stage, as its buckets and batch size make them."""


@dataclass(frozen=True, slots=True)
class StagePosition:
    """Where a step of the run stands in the plan."""

    index: int
    """Stage, from 0."""
    step: int
    """Step within the stage, from 0."""
    total_steps: int
    """Steps of the stage."""


def stage_steps(stage: Stage, num_batches: NumBatches) -> int:
    """Optimizer steps of a stage; epochs are rounded up to whole steps, so that every image is seen."""
    if stage.steps is not None:
        return stage.steps
    steps = stage.epochs * num_batches(stage) / stage.grad_accumulation_steps
    return max(1, math.ceil(round(steps, 6)))  # 1.1 x 50 is a little above 55 in floating point


def total_steps(plan: Plan, num_batches: NumBatches) -> int:
    """Optimizer steps of the whole plan."""
    return sum(stage_steps(stage, num_batches) for stage in plan)


def locate(lengths: Sequence[int], step: int) -> StagePosition:
    """The stage a step of the run, from 0, belongs to; `lengths` are the stages' steps.

    Raises:
        ValueError: If the step lies outside the plan.
    """
    start = 0
    for index, length in enumerate(lengths):
        if start <= step < start + length:
            return StagePosition(index, step - start, length)
        start += length
    raise ValueError(f"step must be within the plan's {start} steps, got {step}")


def stage_optimizers(plan: Plan, optimizer: OptimizerSettings) -> tuple[OptimizerSettings, ...]:
    """The optimizer of every stage: its own, else that of the stage before, else the run's."""
    found: list[OptimizerSettings] = []
    for stage in plan:
        optimizer = stage.optimizer or optimizer
        found.append(optimizer)
    return tuple(found)
