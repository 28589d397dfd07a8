"""Parses rules for tags as users write them: lists, `old > new` and `one + two > both`, one rule per line."""

from re import compile as regex

from .tags import split_tags

ARROW = regex(r"->|=>|>")


def parse_list(text: str) -> tuple[str, ...]:
    """Tags of all lines, split like those of captions."""
    return tuple(tag for line in text.splitlines() for tag in split_tags(line))


def parse_pairs(name: str, text: str) -> tuple[tuple[str, str], ...]:
    """(old, new) of each line `old > new`; lines without anything are skipped, `new` may be empty.

    Raises:
        ValueError: A line has no arrow, more than one, or nothing before it.
    """
    return tuple(_pair(name, line) for line in text.splitlines() if line.strip())


def parse_folds(name: str, text: str) -> tuple[tuple[tuple[str, ...], str], ...]:
    """((tags), tag) of each line `one + two > both`.

    Raises:
        ValueError: A line is not of this form.
    """
    folds = tuple((_tags(left), right) for left, right in parse_pairs(name, text))
    for tags, folded in folds:
        if len(tags) < 2 or not folded:
            raise ValueError(f"{name} must have lines such as 'red hair + long hair > long red hair', got {tags}")
    return folds


def parse_resolutions(name: str, text: str) -> tuple[int, ...]:
    """Whole numbers between commas.

    Raises:
        ValueError: An entry is not a number of pixels.
    """
    entries = parse_list(text)
    if not all(entry.isdecimal() for entry in entries):
        raise ValueError(f"{name} must be numbers of pixels such as '512, 768', got {text!r}")
    return tuple(int(entry) for entry in entries)


def _pair(name: str, line: str) -> tuple[str, str]:
    parts = [part.strip() for part in ARROW.split(line)]
    if len(parts) != 2 or not parts[0]:
        raise ValueError(f"{name} must have lines such as 'old > new', got {line.strip()!r}")
    return parts[0], parts[1]


def _tags(text: str) -> tuple[str, ...]:
    return tuple(tag.strip() for tag in text.split("+") if tag.strip())
