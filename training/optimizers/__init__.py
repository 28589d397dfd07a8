"""Optimizers and learning-rate schedules."""

from .build import (
    build_optimizer,
    check_optimizer,
    effective_rates,
    no_decay_note,
    set_rates,
)
from .catalog import OPTIMIZERS, find_optimizer
from .groups import TrainableGroup
from .modes import use_evaluation_weights, use_training_weights
from .rates import RateSource, part_rate, rate_source
from .schedules import SCHEDULES, ScheduleSettings, schedule_multiplier
from .settings import OptimizerSettings
from .state import load_optimizer_state, optimizer_state

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "OptimizerSettings",
    "RateSource",
    "ScheduleSettings",
    "TrainableGroup",
    "build_optimizer",
    "check_optimizer",
    "effective_rates",
    "find_optimizer",
    "load_optimizer_state",
    "no_decay_note",
    "optimizer_state",
    "part_rate",
    "rate_source",
    "schedule_multiplier",
    "set_rates",
    "use_evaluation_weights",
    "use_training_weights",
]
