"""Changes of the learning rate by hand during training: after which steps, and by which factors.

They are part of the run like its settings, since the weights depend on them.
"""

from collections.abc import Iterable
from itertools import accumulate
from math import prod
from operator import mul

RateChanges = tuple[tuple[int, float], ...]
"""(step, factor), steps ascending: after `step` the learning rate is multiplied by `factor`."""


def with_change(changes: RateChanges, step: int, factor: float) -> RateChanges:
    """Add a change made after `step` steps.

    A change that undoes another one of the same step removes it. Changes at later steps, from before the run was
    resumed at an earlier state, are dropped: the newest decision wins.
    """
    here = prod((known for at, known in changes if at == step), start=factor)
    before = tuple((at, known) for at, known in changes if at < step)
    return before if here == 1.0 else (*before, (step, here))


def factor_after(changes: RateChanges, step: int) -> float:
    """Factor on the learning rate of the optimizer step that follows `step` finished ones."""
    return prod(factor for at, factor in changes if at <= step)


def totals(changes: RateChanges) -> list[tuple[int, float]]:
    """(step, product of all changes up to it)."""
    factors = accumulate((factor for _, factor in changes), mul)
    return [(step, factor) for (step, _), factor in zip(changes, factors, strict=True)]


def described(changes: RateChanges) -> str:
    """The changes in words; empty if there are none."""
    if not changes:
        return ""
    return f"learning rate by hand: {', '.join(f'x {factor:g} after step {step}' for step, factor in totals(changes))}"


def read_changes(data: Iterable[tuple[int, float]]) -> RateChanges:
    """Read changes from JSON."""
    return tuple((int(step), float(factor)) for step, factor in data)
