"""Decides what is trained next, and which of a contestant's learning rates counts."""

from collections.abc import Iterator, Mapping, Sequence
from statistics import mean

from .contestants import SEEDS, Contestant
from .trial import Result, Scale, Trial

Results = Mapping[str, Result]
"""By `Trial.key`."""


def next_trial(contestants: Sequence[Contestant], scale: Scale, results: Results) -> Trial | None:
    """The first missing trial: everybody's expected rate, then all other rates, then one more seed for everybody."""
    return next((trial for trial in _in_order(contestants, scale, results) if trial.key not in results), None)


def _in_order(contestants: Sequence[Contestant], scale: Scale, results: Results) -> Iterator[Trial]:
    for contestant in contestants:
        yield _trial(contestant, contestant.rates[0], SEEDS[0], scale)
    for contestant in contestants:
        for rate in contestant.rates[1:]:
            yield _trial(contestant, rate, SEEDS[0], scale)
    for index in range(1, len(SEEDS)):
        for contestant in contestants:
            best = best_trial(contestant, scale, results)
            if best is not None and index < contestant.num_seeds:
                yield _trial(contestant, best.rate, SEEDS[index], scale)


def best_trial(contestant: Contestant, scale: Scale, results: Results) -> Trial | None:
    """The first seed's trial with the best scores; if equal, with the lowest held-out loss."""
    tried = [_trial(contestant, rate, SEEDS[0], scale) for rate in contestant.rates]
    done = [trial for trial in tried if "error" not in results.get(trial.key, {"error": "not run"})]
    return max(done, key=lambda trial: _rank(results[trial.key]), default=None)


def seeds_of(trial: Trial, results: Results) -> list[Result]:
    """Results of a trial and of the same with other seeds, as far as they are there."""
    same = (_trial(trial.contestant, trial.rate, seed, trial.scale) for seed in SEEDS[: trial.contestant.num_seeds])
    return [results[one.key] for one in same if "error" not in results.get(one.key, {"error": "not run"})]


def overall(result: Result) -> float:
    """Mean of the three scores."""
    return mean(float(result[name]) for name in ("identity", "flexibility", "prior"))


def _rank(result: Result) -> tuple[float, float]:
    return overall(result), -float(result["held_out_loss"])


def _trial(contestant: Contestant, rate: float, seed: int, scale: Scale) -> Trial:
    return Trial(contestant=contestant, rate=rate, seed=seed, scale=scale)
