"""The report of one training step."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SampleLoss:
    """Unweighted loss of one image in one step."""

    image_id: int
    """Index of the picture in the data of the step's stage."""
    timestep: int
    loss: float
    is_kept: bool = False
    """True if the target was the base model's own prediction (prior preservation)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StepReport:
    """Measurements of one finished optimizer step."""

    step: int
    """Steps done in the run, including this one; the first is 1."""
    total_steps: int
    stage: int
    epoch: int
    loss: float
    """Mean weighted loss over the step's samples, the number that was minimized."""
    unweighted_loss: float
    grad_norm: float
    """Norm of all gradients before clipping."""
    learning_rates: dict[str, float]
    """Learning rate per parameter group (d x lr for adaptive optimizers)."""
    samples: tuple[SampleLoss, ...]
    seconds: float
    keys_scaled: int = 0
    """Modules scaled down by scale_weight_norms in this step."""
    max_key_norm: float | None = None
    is_left_out: bool = False
    """True if the step gave no finite numbers and changed nothing; its figures are then those of the finite samples."""
