"""Optimizers and learning-rate schedules."""

from .build import (
    TrainableGroup,
    build_optimizer,
    effective_rates,
    set_rates,
    use_evaluation_weights,
    use_training_weights,
)
from .catalog import OPTIMIZERS, find_optimizer
from .schedules import SCHEDULES, ScheduleSettings, schedule_multiplier
from .settings import OptimizerSettings

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "OptimizerSettings",
    "ScheduleSettings",
    "TrainableGroup",
    "build_optimizer",
    "effective_rates",
    "find_optimizer",
    "schedule_multiplier",
    "set_rates",
    "use_evaluation_weights",
    "use_training_weights",
]
