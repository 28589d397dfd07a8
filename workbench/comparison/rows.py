"""The results of a contestant, ready to be shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from .contestants import SEEDS, Contestant
from .schedule import Results, best_trial, overall, seeds_of
from .trial import Result, Scale, Trial

SCORES = ("identity", "flexibility", "prior", "held_out_loss")


@dataclass(frozen=True, slots=True)
class Row:
    """A contestant at its best rate."""

    trial: Trial
    """Of the first seed."""
    seeds: tuple[Result, ...]
    """Results of this rate, one a seed."""
    tried: tuple[tuple[float, float | None], ...]
    """Every rate, lowest first, with its mean score of the first seed; None where the run failed."""

    @property
    def contestant(self) -> Contestant:
        """Whose row it is."""
        return self.trial.contestant

    def mean(self, name: str) -> float:
        """A figure, averaged over the seeds."""
        return mean(float(result[name]) for result in self.seeds)

    def spread(self, name: str) -> float:
        """Largest less smallest figure of the seeds."""
        values = [float(result[name]) for result in self.seeds]
        return max(values) - min(values)


def rows_of(contestants: Sequence[Contestant], scale: Scale, results: Results) -> list[Row]:
    """A row for each contestant that has a result, in order."""
    rows = [_row(contestant, scale, results) for contestant in contestants]
    return [row for row in rows if row is not None]


def _row(contestant: Contestant, scale: Scale, results: Results) -> Row | None:
    best = best_trial(contestant, scale, results)
    if best is None:
        return None
    tried: list[tuple[float, float | None]] = []
    for rate in sorted(contestant.rates):
        trial = Trial(contestant=contestant, rate=rate, seed=SEEDS[0], scale=scale)
        result = results.get(trial.key)
        if result is not None:
            tried.append((rate, None if "error" in result else overall(result)))
    return Row(best, tuple(seeds_of(best, results)), tuple(tried))
