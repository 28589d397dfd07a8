"""Captions as lists of tags, and edits to all tags of a dataset before training.

A caption is split at its separator, but never inside balanced parentheses: `(red eyes, long hair:1.2)` is one
weighted tag of ComfyUI's prompt syntax.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from itertools import accumulate

from .brackets import unescaped

JOINER = ", "


@dataclass(frozen=True, kw_only=True, slots=True)
class TagEdits:
    """Changes to tags, applied in the order of the fields; tags are compared without case, `_` and escapes."""

    replace: tuple[tuple[str, str], ...] = ()
    """(tag, other tag) pairs; the first is replaced by the second."""
    fold: tuple[tuple[tuple[str, ...], str], ...] = ()
    """((tags), one tag): if all of the tags are present, the one replaces them, at the position of the first."""
    prune: tuple[str, ...] = ()
    """Tags to remove, so that what they describe is learned with the trigger word."""
    blacklist: tuple[str, ...] = ()
    """Patterns of tags to remove; `*` matches anything, `?` one character."""
    order_by_frequency: bool = False
    """Put the subset's most frequent tags first."""


def split_tags(text: str, separator: str = ",") -> list[str]:
    """Tags without surrounding spaces or empty ones; separators inside balanced parentheses do not split."""
    pieces = text.split(separator)
    ends = _ends(list(accumulate(map(_depth, pieces))))
    tags, start = list[str](), 0
    while start < len(pieces):
        tags.append(separator.join(pieces[start : ends[start]]).strip())
        start = ends[start]
    return [tag for tag in tags if tag]


def _ends(depths: Sequence[int]) -> list[int]:
    """For each piece, the last piece of its tag, given the number of open parentheses after each piece.

    That is the first piece after which no more are open than before. If there is none, it is the piece itself: an
    unclosed parenthesis, as in `:(`, joins nothing.
    """
    ends = [0] * len(depths)
    later: list[int] = []  # positions whose depth is below that of every position between, nearest last
    for place in reversed(range(len(depths))):
        before = depths[place - 1] if place else 0
        while later and depths[later[-1]] >= depths[place]:
            later.pop()
        later.append(place)
        ends[place] = _first_at_most(depths, later, before) + 1 if depths[later[0]] <= before else place + 1
    return ends


def _first_at_most(depths: Sequence[int], falling: Sequence[int], limit: int) -> int:
    """The nearest of the positions, whose depths fall with distance, where the depth is at most the limit."""
    return falling[bisect_right(falling, limit, key=lambda place: depths[place]) - 1]


def _depth(text: str) -> int:
    plain = re.sub(r"\\[()]", "", text)
    return plain.count("(") - plain.count(")")


def normal(tag: str) -> str:
    """The form in which tags are compared."""
    return unescaped(tag).strip().lower().replace("_", " ")


def count_tags(captions: Iterable[str], separator: str = ",") -> Counter[str]:
    """The number of captions with each tag, by normal form."""
    return Counter(tag for text in captions for tag in {normal(tag) for tag in split_tags(text, separator)})


def edit_tags(tags: Sequence[str], edits: TagEdits, counts: Mapping[str, int]) -> list[str]:
    """The tags after the edits, without duplicates that arise. `counts` decides the order by frequency."""
    replacements = {normal(old): new for old, new in edits.replace}
    result = [replacements.get(normal(tag), tag) for tag in tags]
    for group, folded in edits.fold:
        result = _fold(result, {normal(tag) for tag in group}, folded)
    pruned = {normal(tag) for tag in edits.prune}
    result = [tag for tag in result if tag and normal(tag) not in pruned and not _is_listed(tag, edits.blacklist)]
    result = list({normal(tag): tag for tag in reversed(result)}.values())[::-1]
    return sorted(result, key=lambda tag: -counts.get(normal(tag), 0)) if edits.order_by_frequency else result


def edit_captions(
    captions: Sequence[str], edits: TagEdits, separators: Sequence[str] = (), separator: str = ","
) -> list[str]:
    """Captions after the edits. Those whose tags do not change keep their exact text.

    Captions are first split at `separators` (of kept tags), and each part is edited separately. `separator` separates
    tags.
    """
    pattern = "|".join(re.escape(separator) for separator in separators if separator)
    parts = [re.split(f"({pattern})", text) if pattern else [text] for text in captions]
    first_pass = [[_edit_text(part, edits, {}, separator) for part in text] for text in parts]
    counts = count_tags((separator.join(text[::2]) for text in first_pass), separator)
    return ["".join(_edit_text(part, edits, counts, separator) for part in text) for text in parts]


def _edit_text(text: str, edits: TagEdits, counts: Mapping[str, int], separator: str) -> str:
    tags = split_tags(text, separator)
    edited = edit_tags(tags, edits, counts)
    if edited == tags:
        return text
    lead, trail = text[: len(text) - len(text.lstrip())], text[len(text.rstrip()) :]
    return lead + f"{separator.rstrip()} ".join(edited) + trail


def _fold(tags: Sequence[str], group: set[str], folded: str) -> list[str]:
    present = [normal(tag) for tag in tags]
    if not group <= set(present):
        return list(tags)
    first = min(present.index(tag) for tag in group)
    kept = ((index, tag) for index, tag in enumerate(tags) if present[index] not in group or index == first)
    return [folded if index == first else tag for index, tag in kept]


def _is_listed(tag: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(normal(tag), normal(pattern)) for pattern in patterns)
