"""Learning-rate schedules as pure functions of the step.

A schedule is a warmup followed by a shape. Shapes take the progress x, 0 at the end of the warmup and 1 at the end of
the run, and give a factor in 0..1; `min_ratio` raises the end of every falling shape.

Sources: SGDR (cosine, restarts) https://arxiv.org/abs/1608.03983; inverse square root https://arxiv.org/abs/2106.04560;
warmup-stable-decay https://arxiv.org/abs/2404.06395; REX https://arxiv.org/abs/2107.04197.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

ScheduleName = Literal[
    "constant",
    "linear",
    "cosine",
    "cosine_with_restarts",
    "polynomial",
    "inverse_sqrt",
    "warmup_stable_decay",
    "logarithmic",
    "rex",
]
SCHEDULES: tuple[ScheduleName, ...] = get_args(ScheduleName)


@dataclass(frozen=True, kw_only=True, slots=True)
class ScheduleSettings:
    """How the learning rate changes over a stage."""

    schedule: ScheduleName = "constant"
    """Shape after the warmup."""
    warmup_steps: float = 0.0
    """Rise from 0 to the full learning rate: in steps if 1 or more, as a share of the stage if below 1. 0 off."""
    warmup_from_min: bool = False
    """Start the warmup at min_ratio instead of 0, as sd-scripts does for warmup_stable_decay."""
    decay_steps: float = 0.2
    """Length of warmup_stable_decay's final fall: in steps if 1 or more, as a share of the stage if below 1."""
    cycles: int = 1
    """Half waves of cosine_with_restarts, at least 1; 1 is the plain cosine."""
    power: float = 2.0
    """Exponent of polynomial, above 0; 1 is linear."""
    min_ratio: float = 0.0
    """Share of the full learning rate left at the end of every falling shape, 0..1. 0 off."""
    timescale: float = 0.0
    """Steps after which inverse_sqrt has its full slope; 0 = the length of the warmup, or 10000 without one."""

    def __post_init__(self) -> None:
        """Refuse values that give no schedule.

        Raises:
            ValueError: With field, allowed range and value.
        """
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {self.schedule!r}")
        for name, value, is_valid, wanted in (
            ("warmup_steps", self.warmup_steps, self.warmup_steps >= 0, "0 or more"),
            ("decay_steps", self.decay_steps, self.decay_steps >= 0, "0 or more"),
            ("cycles", self.cycles, self.cycles >= 1, "at least 1"),
            ("power", self.power, self.power > 0, "above 0"),
            ("min_ratio", self.min_ratio, 0 <= self.min_ratio <= 1, "from 0 to 1"),
            ("timescale", self.timescale, self.timescale >= 0, "0 or more"),
        ):
            if not is_valid:
                raise ValueError(f"{name} must be {wanted}, got {value}")


def schedule_multiplier(schedule: ScheduleSettings, step: int, total_steps: int) -> float:
    """Factor on the base learning rate for one optimizer step, in 0..1.

    Steps count from 0: the last step of a run is `total_steps - 1`, and a shape ends just after it.
    """
    warmup_steps = length_in_steps(schedule.warmup_steps, total_steps)
    if step < warmup_steps:
        return _lift(step / warmup_steps, schedule.min_ratio if schedule.warmup_from_min else 0.0)
    if schedule.schedule == "inverse_sqrt":
        return _lift(_inverse_sqrt(schedule, step, warmup_steps), schedule.min_ratio)
    if schedule.schedule == "warmup_stable_decay":
        decay_steps = length_in_steps(schedule.decay_steps, total_steps)
        progress = _progress(step, max(total_steps - decay_steps, warmup_steps), total_steps)
        return _lift(_cosine(progress), schedule.min_ratio)
    factor = _SHAPES[schedule.schedule](_progress(step, warmup_steps, total_steps), schedule)
    return factor if schedule.schedule == "constant" else _lift(factor, schedule.min_ratio)


def length_in_steps(length: float, total_steps: int) -> int:
    """Convert a length to steps: 1 or more are steps, below 1 is a share of the total."""
    return round(length * total_steps) if length < 1 else round(length)


def _progress(step: int, start: int, end: int) -> float:
    """Position of a step between two others, clamped to 0..1."""
    return min(max((step - start) / max(end - start, 1), 0.0), 1.0)


def _lift(factor: float, min_ratio: float) -> float:
    return min_ratio + (1.0 - min_ratio) * factor


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _restarts(progress: float, schedule: ScheduleSettings) -> float:
    return 0.0 if progress >= 1.0 else _cosine((schedule.cycles * progress) % 1.0)


def _inverse_sqrt(schedule: ScheduleSettings, step: int, warmup_steps: int) -> float:
    timescale = schedule.timescale or warmup_steps or 10_000
    return min(1.0, 1.0 / math.sqrt((step + timescale - warmup_steps) / timescale))


def _logarithmic(progress: float) -> float:
    """Falls fast first and slowly later: 1 at the start, 0 at the end."""
    return 1.0 - math.log10(1.0 + 9.0 * progress)


def _rex(progress: float) -> float:
    """Above the straight line: the reflected exponential, (1 - x) / (1 - x / 2)."""
    return (1.0 - progress) / (1.0 - progress / 2.0)


_SHAPES: dict[ScheduleName, Callable[[float, ScheduleSettings], float]] = {
    "constant": lambda progress, schedule: 1.0,
    "linear": lambda progress, schedule: 1.0 - progress,
    "cosine": lambda progress, schedule: _cosine(progress),
    "cosine_with_restarts": _restarts,
    "polynomial": lambda progress, schedule: (1.0 - progress) ** schedule.power,
    "logarithmic": lambda progress, schedule: _logarithmic(progress),
    "rex": lambda progress, schedule: _rex(progress),
}
