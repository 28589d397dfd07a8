"""Decides whether a run has gone wrong: by the base model's own loss, and by the best the run has been.

The loss of a sample differs a hundredfold by its timestep and tenfold by its image and noise. Beside the base model's
loss on the very same sample little of that is left, so a few dozen samples tell what would otherwise take hundreds.
The base model is asked about the first steps, and where the losses look wrong; in between its loss is estimated from
the timestep by what it was before.

Three things end a run: it loses more than the base model does; it has risen above its own best while its gradients
grow; it has long been far above its own best.

A network that was trained before, on other images or by another run, may lose more than the base model when it begins.
These steps did not cause that, so it is compared with its beginning until it is better than the base model.

Ratios are of losses with the network over losses without it, averaged as logarithms: each sample counts alike.
"""

import math
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, geometric_mean, median, variance

import numpy as np

from ..loop.report import SampleLoss

MIN_SAMPLES, MIN_STEPS = 24, 6
"""Of a window that is judged, and of the first steps that tell what to expect."""
WORSE, WORSE_ERRORS = math.log(1.2), 3.0
"""A network above this is worse than none; standard errors by which that must be no chance."""
RISEN, RISEN_ERRORS = math.log(1.25), 2.0
"""A network so far above its own best, while its gradients grow, is blowing up."""
FAR_RISEN, FAR_RISEN_ERRORS, LASTING = math.log(3.0), 1.0, 200
"""So far above its own best for so many samples it is lost, whatever its gradients do."""
GRADIENT_GROWTH = 4.0
"""Gradients of a window over those of the stage before it; in steady training they stay within a factor of 2."""
FINE, FINE_ERRORS = math.log(1.1), 2.0
"""Up to here above none, and above its best, a window counts as good; so does what may be no more by chance. What is
saved after the last good one may be dropped, and the best of many windows is in part the luckiest."""
LARGEST = math.log(100.0)
"""No single sample counts for more."""
TINY = 1e-30
"""In place of a gradient of 0, which has no logarithm."""
MAX_GRADIENTS = 1000
"""Latest ones that tell what is usual."""


@dataclass(frozen=True, slots=True)
class Excess:
    """What was found."""

    ratio: float
    """Of the latest samples; of a rise: over the ratio at its best."""
    num_samples: int
    good_step: int
    """Latest step at which nothing looked wrong; 0 = only the start."""
    best_step: int | None = None
    """Where a rise began; None for a network that is worse than none."""
    has_growing_gradients: bool = False


@dataclass(frozen=True, slots=True)
class _Step:
    step: int
    samples: tuple[tuple[int, SampleLoss], ...]
    """With their places among all samples of the step; without those that are not judged."""
    grad_norm: float


class Judge:
    """Judges a run step by step; what it finds follows from its steps, so it can be fed them again."""

    def __init__(self, measure: Callable[[int], Sequence[float]], *, is_fresh: bool = True) -> None:
        """`measure` gives the base model's loss on every sample of a step.

        `is_fresh` is False for a run that begins from the weights of another; a later stage never is.
        """
        self._measure = measure
        self._good_step = 0
        self._is_fresh = is_fresh
        self._stage = -1
        self._begin_stage(0)

    def _begin_stage(self, stage: int) -> None:
        """Other images, another rate: what to expect and how good it was are the stage's own."""
        self._is_fresh = self._is_fresh and self._stage < 0
        self._stage = stage
        self._window: deque[_Step] = deque()
        self._gradients: deque[float] = deque(maxlen=MAX_GRADIENTS)
        self._asked: dict[int, Sequence[float]] = {}
        """The base model's loss on every sample of a step."""
        self._pairs: list[tuple[int, float]] = []
        """(timestep, base model's loss) of the samples asked about."""
        self._expect = _expectation([])
        self._best: tuple[_Step, ...] = ()
        self._num_risen = 0
        """Samples since the network has been far above its best."""
        self._begun: Sequence[float] = ()
        """Logarithms of the ratios it began with, while those are what it is held against; empty = against none."""
        self._next = 0

    @property
    def _level(self) -> float:
        """What the network is held against."""
        return fmean(self._begun) if self._begun else 0.0

    def add(self, step: int, stage: int, samples: Sequence[SampleLoss], grad_norm: float) -> Excess | None:
        """Takes in a step; says if the run has gone wrong."""
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
        """Logarithms of the losses over what is expected of the base model."""
        return [_clipped(one.loss / self._expect(one.timestep)) for step in window for _, one in step.samples]

    def _has_growing_gradients(self, window: Sequence[_Step]) -> bool:
        usual = median(self._gradients) if self._gradients else math.inf
        return geometric_mean(step.grad_norm for step in window) > GRADIENT_GROWTH * usual

    def _ratios(self, window: Sequence[_Step]) -> list[float]:
        """Logarithms of the ratios of a window's samples, from the base model itself."""
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
    """The base model's loss as a function of the timestep: its logarithm is a parabola near enough."""
    if not pairs:
        return lambda timestep: 1.0
    basis = np.array([_powers(timestep) for timestep, _ in pairs])
    logarithms = np.array([math.log(loss) for _, loss in pairs])
    weights: list[float] = np.linalg.lstsq(basis, logarithms, rcond=None)[0].tolist()
    low, high = float(logarithms.min()), float(logarithms.max())

    def expected(timestep: int) -> float:
        # Within what was seen: where all samples lie close together the parabola means nothing further off.
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
    """True if the mean (above the mean before) exceeds the limit by so many standard errors."""
    columns = [column for column in (now, before) if column]
    if not now or min(len(column) for column in columns) < MIN_SAMPLES // 2:
        return False
    error = math.hypot(*(_error(column) for column in columns))
    return fmean(now) - (fmean(before) if before else 0.0) - errors * error > limit


def _error(values: Sequence[float]) -> float:
    """Standard error of the mean."""
    return math.sqrt(variance(values) / len(values))
