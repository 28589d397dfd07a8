"""Rows of the page as it stands: what was measured earlier stays until it is measured again."""

import re
from collections.abc import Iterable, Mapping
from re import compile as regex

Tables = dict[str, dict[str, str]]
"""Lines of tables by title and by the name in their first cell."""
_SEEDS = regex(r" \(\d+ seeds\)$")


def tables_of(page: str) -> Tables:
    """Every table of the page."""
    tables: Tables = {}
    title = ""
    for line in page.splitlines():
        if line.startswith("## "):
            title = line.removeprefix("## ").strip()
        elif line.startswith("| ") and not line.startswith("| |"):
            tables.setdefault(title, {})[name_of(line)] = line
    return tables


def name_of(line: str) -> str:
    """What a line of a table is about."""
    return _SEEDS.sub("", cells(line)[0])


def cells(line: str) -> list[str]:
    """The texts of a line's cells."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def merged(kept: Mapping[str, str], new: Mapping[str, str], order: Iterable[str]) -> list[str]:
    """Lines by name in an order; the new ones win, and what has no place any more is gone."""
    both = {**kept, **new}
    return [both[name] for name in order if name in both]


def spread(lines: Iterable[str], column: int) -> int:
    """Largest difference within one cell of a column, which holds a number of each seed."""
    numbers = [[int(text) for text in re.findall(r"-?\d+", cells(line)[column])] for line in lines]
    return max((max(found) - min(found) for found in numbers if found), default=0)
