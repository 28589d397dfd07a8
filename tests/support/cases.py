"""Cases of parametrized tests: every combination nightly (`full`), each value with a few others every day."""

import itertools
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import pytest


def combined(first: Collection[Any], second: Collection[Any], step: int = 2) -> list[Any]:
    """Pairs of two lists' values; every day each of the first meets every `step`-th of the second, in turn."""
    return [case((a, b), is_everyday=i % step == j % step) for i, a in enumerate(first) for j, b in enumerate(second)]


def pairs(values: Sequence[Any]) -> list[Any]:
    """Pairs of a list's values whatever their order; every day each with itself and with the next."""
    numbered = itertools.combinations_with_replacement(enumerate(values), 2)
    return [case((a, b), is_everyday=j - i <= 1) for (i, a), (j, b) in numbered]


def chosen(values: Iterable[Any], everyday: Collection[Any]) -> list[Any]:
    """All values; every day those that are chosen."""
    return [case((value,), is_everyday=value in everyday) for value in values]


def case(values: tuple[Any, ...], *, is_everyday: bool) -> Any:
    """One case, marked `full` unless it runs every day."""
    return pytest.param(*values, marks=() if is_everyday else pytest.mark.full)
