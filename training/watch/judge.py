"""Decides whether a run has diverged, by the base model's loss and by the run's own best.

The loss of a sample varies a hundredfold with its timestep and tenfold with its image and noise. Divided by the base
model's loss on the same sample, most of that cancels, so a few dozen samples are enough where hundreds would be needed.
The base model is evaluated for the first steps and where the losses look wrong; in between, its loss is estimated from
the timestep by earlier measurements.

Three things end a run: its loss is above the base model's; it has risen above its own best while its gradients grow; it
has been far above its own best for long.

A network that was trained before, on other images or by another run, may start with a higher loss than the base model.
The run did not cause that, so the network is compared with its start until it is better than the base model.

Ratios are losses with the network over losses without it, averaged as logarithms so that each sample counts alike.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean, median, variance

import numpy as np

from ..loop.report import SampleLoss

MIN_SAMPLES, MIN_STEPS = 24, 6
"""Size of a window that is judged, and of the first steps that set what to expect."""
WORSE, WORSE_ERRORS = math.log(1.2), 3.0
"""A network above this ratio is worse than none; the excess must be this many standard errors."""
RISEN, RISEN_ERRORS = math.log(1.25), 2.0
"""A network this far above its own best is blowing up if its gradients grow too."""
FAR_RISEN, FAR_RISEN_ERRORS, LASTING = math.log(3.0), 1.0, 200
"""A network this far above its own best for this many samples is lost, whatever its gradients do."""
GRADIENT_GROWTH = 4.0
"""Growth of a window's gradients over the stage before it; in steady training they stay within a factor of 2."""
FINE, FINE_ERRORS = math.log(1.1), 2.0
"""A window counts as good up to this far above none and above its best, or if chance may explain the excess.

Saves after the last good window may be deleted, and the best of many windows is partly the luckiest one.
"""
LARGEST = math.log(100.0)
"""Limit for a single sample's ratio."""
TINY = 1e-30
"""Replaces a gradient of 0, which has no logarithm."""
MAX_GRADIENTS = 1000
"""Number of latest gradients that define what is usual."""


@dataclass(frozen=True, slots=True)
class Excess:
    """A detected divergence."""

    ratio: float
    """Ratio of the latest samples; for a rise, relative to the ratio at its best."""
    num_samples: int
    good_step: int
    """Last step at which nothing looked wrong; 0 = only the start."""
    best_step: int | None = None
    """Step where a rise started; None for a network that is worse than none."""
    has_growing_gradients: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    step: int
    samples: tuple[tuple[int, SampleLoss], ...]
    """Samples with their index within the step, without those that are not judged."""
    grad_norm: float


class Judge:
    """Judges a run step by step. The result depends on the steps alone, so a resumed run can replay them."""

    def __init__(self, measure: Callable[[int], Sequence[float]], *, is_fresh: bool = True) -> None:
        """`measure` returns the base model's loss on every sample of a step.

        `is_fresh` is False for a run that starts from the weights of another; later stages are never fresh.
        """
        self._measure = measure
        self._good_step = 0
        self._is_fresh = is_fresh
        self._stage = -1
        self._begin_stage(0)

    def _begin_stage(self, stage: int) -> None:
        """Start a stage: with other images or learning rates, expectation and best are its own."""
        self._is_fresh = self._is_fresh and self._stage < 0
        self._stage = stage
        self._window: deque[_Step] = deque()
        self._gradients: deque[float] = deque(maxlen=MAX_GRADIENTS)
        self._asked: dict[int, Sequence[float]] = {}
        """The base model's measured loss on every sample of a step."""
        self._pairs: list[tuple[int, float]] = []
        """(timestep, base model's loss) of the measured samples."""
        self._expect = _expectation([])
        self._best: tuple[_Step, ...] = ()
        self._num_risen = 0
        """Samples since the network has been far above its best."""
        self._begun: Sequence[float] = ()
        """Logarithms of the ratios at the start, while these are the reference; empty = compare with no network."""
        self._next = 0

    @property
    def good_step(self) -> int:
        """Latest step so far at which nothing looked wrong; 0 = only the start."""
        return self._good_step

    @property
    def _level(self) -> float:
        """The reference that the network is compared with."""
        return fmean(self._begun) if self._begun else 0.0

    def add(self, step: int, stage: int, samples: Sequence[SampleLoss], grad_norm: float) -> Excess | None:
        """Add a step; returns the excess if the run has diverged."""
        if stage != self._stage:
            self._begin_stage(stage)
        judged = tuple((place, one) for place, one in enumerate(samples) if not one.is_kept and one.loss > 0)
        self._window.append(_Step(step, judged, max(grad_norm, TINY)))
        while len(self._window) > MIN_STEPS and _count(self._window) - len(self._window[0].samples) >= MIN_SAMPLES:
            self._gradients.append(self._window.popleft().grad_norm)
        window = tuple(self._window)
        if step < self._next or len(window) < MIN_STEPS or _count(window) < MIN_SAMPLES:
            return None
        if not self._pairs:
            self._best = window
            return self._check_worse(window)
        return self._judge(window)

    def _judge(self, window: tuple[_Step, ...]) -> Excess | None:
        expected, expected_best = self._expected_ratios(window), self._expected_ratios(self._best)
        mean, best, error = fmean(expected), fmean(expected_best), _error(expected)
        self._num_risen = self._num_risen + len(window[-1].samples) if mean - best > FAR_RISEN else 0
        if mean + error < 0:
            self._begun = ()
        if mean - error - self._level > WORSE:
            return self._check_worse(window)
        is_blowing_up = mean - best > RISEN and self._has_growing_gradients(window)
        if is_blowing_up or self._num_risen >= LASTING:
            return self._check_rise(window, is_blowing_up)
        if mean < best:
            self._best = window
        chance = FINE_ERRORS * math.hypot(error, _error(expected_best))
        if mean - self._level - FINE_ERRORS * error <= FINE and mean - best - chance <= FINE:
            self._good_step = window[-1].step
        return None

    def _check_worse(self, window: tuple[_Step, ...]) -> Excess | None:
        is_first, ratios = not self._pairs, self._ratios(window)
        if is_first and not self._is_fresh and ratios and fmean(ratios) > 0:
            self._begun = ratios
        if _is_above(WORSE, WORSE_ERRORS, ratios, self._begun):
            return Excess(math.exp(fmean(ratios)), len(ratios), self._good_step)
        if ratios and fmean(ratios) - self._level <= FINE:
            if not self._num_risen:
                self._good_step = window[-1].step
            self._next = window[-1].step + len(window)
        return None

    def _check_rise(self, window: tuple[_Step, ...], is_blowing_up: bool) -> Excess | None:
        now, best = self._ratios(window), self._ratios(self._best)
        limit, errors = (RISEN, RISEN_ERRORS) if is_blowing_up else (FAR_RISEN, FAR_RISEN_ERRORS)
        if _is_above(limit, errors, now, best):
            ratio = math.exp(fmean(now) - fmean(best))
            return Excess(ratio, len(now), self._good_step, self._best[-1].step, is_blowing_up)
        self._num_risen = 0
        return None

    def _expected_ratios(self, window: Sequence[_Step]) -> list[float]:
        """Logarithms of the losses over the base model's estimated losses."""
        return [_clipped(one.loss / self._expect(one.timestep)) for step in window for _, one in step.samples]

    def _has_growing_gradients(self, window: Sequence[_Step]) -> bool:
        usual = median(self._gradients) if self._gradients else math.inf
        return geometric_mean(step.grad_norm for step in window) > GRADIENT_GROWTH * usual

    def _ratios(self, window: Sequence[_Step]) -> list[float]:
        """Logarithms of the ratios of a window's samples, with the base model's measured losses."""
        for step in window:
            if step.step not in self._asked:
                losses = self._asked[step.step] = self._measure(step.step)
                self._pairs += [(one.timestep, losses[place]) for place, one in step.samples if losses[place] > 0]
        self._expect = _expectation(self._pairs)
        return [
            _clipped(one.loss / self._asked[step.step][place])
            for step in window
            for place, one in step.samples
            if self._asked[step.step][place] > 0
        ]


def _expectation(pairs: Sequence[tuple[int, float]]) -> Callable[[int], float]:
    """The base model's loss as a function of the timestep: its logarithm is close to a parabola."""
    if not pairs:
        return lambda timestep: 1.0
    basis = np.array([_powers(timestep) for timestep, _ in pairs])
    logarithms = np.array([math.log(loss) for _, loss in pairs])
    weights: list[float] = np.linalg.lstsq(basis, logarithms, rcond=None)[0].tolist()
    low, high = float(logarithms.min()), float(logarithms.max())

    def expected(timestep: int) -> float:
        # within the measured range: if all samples are close together, the parabola means nothing further away
        logarithm = sum(weight * power for weight, power in zip(weights, _powers(timestep), strict=True))
        return math.exp(min(max(logarithm, low), high))

    return expected


def _powers(timestep: int) -> tuple[float, float, float]:
    return 1.0, timestep / 1000, (timestep / 1000) ** 2


def _count(window: Sequence[_Step]) -> int:
    return sum(len(step.samples) for step in window)


def _clipped(ratio: float) -> float:
    return min(LARGEST, max(-LARGEST, math.log(ratio)))


def _is_above(limit: float, errors: float, now: Sequence[float], before: Sequence[float] = ()) -> bool:
    """True if the mean (minus the earlier mean) exceeds the limit by this many standard errors."""
    columns = [column for column in (now, before) if column]
    if not now or min(len(column) for column in columns) < MIN_SAMPLES // 2:
        return False
    error = math.hypot(*(_error(column) for column in columns))
    return fmean(now) - (fmean(before) if before else 0.0) - errors * error > limit


def _error(values: Sequence[float]) -> float:
    """Standard error of the mean."""
    return math.sqrt(variance(values) / len(values))
