"""The learning rate changed by hand while a run trains: after which steps, and by which factors.

They belong to the run as its settings do: the rate of a step, and with it the weights, follow from both.
"""

from collections.abc import Iterable
from itertools import accumulate
from math import prod
from operator import mul

RateChanges = tuple[tuple[int, float], ...]
"""(step, factor), steps ascending: what is trained after the step has a rate that is so many times as high."""


def with_change(changes: RateChanges, step: int, factor: float) -> RateChanges:
    """The changes and one more, made when `step` steps are trained.

    One that takes another at the same step back leaves none. Later ones, of a run that goes on from a state before
    them, give way: who changes the rate now decides what follows.
    """
    here = prod((known for at, known in changes if at == step), start=factor)
    before = tuple((at, known) for at, known in changes if at < step)
    return before if here == 1.0 else (*before, (step, here))


def factor_after(changes: RateChanges, step: int) -> float:
    """What the rate of the step after `step` is multiplied by."""
    return prod(factor for at, factor in changes if at <= step)


def totals(changes: RateChanges) -> list[tuple[int, float]]:
    """(step, factor that holds after it, all changes before included)."""
    factors = accumulate((factor for _, factor in changes), mul)
    return [(step, factor) for (step, _), factor in zip(changes, factors, strict=True)]


def described(changes: RateChanges) -> str:
    """In words; empty where there are none."""
    if not changes:
        return ""
    return f"learning rate by hand: {', '.join(f'x {factor:g} after step {step}' for step, factor in totals(changes))}"


def read_changes(data: Iterable[tuple[int, float]]) -> RateChanges:
    """As JSON keeps them."""
    return tuple((int(step), float(factor)) for step, factor in data)
