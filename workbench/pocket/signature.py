"""What makes an OC itself, found by comparing its reference pictures with ordinary creatures.

A signature is a few marks: a color, how much of the creature it covers, and how high on it. A mark is a color
that the references share and that ordinary creatures of the same skin do not have. Lab colors, heights 0..1.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from .colors import distance, to_lab
from .readers import as_pictures, background_lab, foreground_mask, read_skin, shrink
from .world import Color, draw_creature, random_creature

SIDE = 64
MARK_RADIUS = 22.0
"""Lab distance that keeps the colors of one signature apart."""
MATCH_RADIUS = 30.0
"""Distance within which a pixel counts for a mark, shades counting half: a mark is known by its hue."""
MATCH_WEIGHTS = np.array([0.5, 1.0, 1.0])
SHARE_NEEDED = 0.3
"""Part of the references' share that a picture must have of a mark."""
MIN_SHARE = 0.012
"""Smallest part of the foreground that a mark may cover."""
HEIGHT_TOLERANCE = 0.25


@dataclass(frozen=True)
class Mark:
    """One color of a signature."""

    lab: tuple[float, float, float]
    share: float
    """Part of the foreground it covers in the references, 0..1."""
    height: float | None
    """Where its middle is, 0 the creature's top and 1 its bottom; None = anywhere."""


@dataclass(frozen=True)
class Signature:
    """The marks of one OC, its main color first."""

    marks: tuple[Mark, ...]


@dataclass(frozen=True)
class Figure:
    """The foreground pixels of one picture."""

    lab: np.ndarray
    """(P, 3)"""
    height: np.ndarray
    """(P,), 0 top to 1 bottom."""
    background: np.ndarray
    """(3,)"""


def find_figure(picture: np.ndarray) -> Figure:
    """Cuts the creature out of a picture (H, W, 3) uint8."""
    lab = shrink(picture, SIDE)
    mask = foreground_mask(lab)
    rows = np.nonzero(mask)[0]
    if len(rows) == 0:
        return Figure(np.zeros((0, 3)), np.zeros(0), background_lab(lab))
    height = (rows - rows.min()) / max(1, rows.max() - rows.min())
    return Figure(lab[mask], height, background_lab(lab))


def match_distance(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distance of Lab colors over the last axis, lightness counting half."""
    return distance(a * MATCH_WEIGHTS, b * MATCH_WEIGHTS)


def mark_share(figure: Figure, lab: np.ndarray) -> tuple[float, float]:
    """Part of the figure within a mark's color, and the height of its middle (0.5 when there is none)."""
    if len(figure.lab) == 0:
        return 0.0, 0.5
    hits = match_distance(figure.lab, lab) < MATCH_RADIUS
    return float(hits.mean()), float(figure.height[hits].mean()) if hits.any() else 0.5


def dominant_colors(pixels: np.ndarray, limit: int = 10) -> list[np.ndarray]:
    """Lab colors (3,) that many of the pixels (P, 3) are near to, most first, none near another."""
    found, rest, total = [], pixels, len(pixels)
    while len(found) < limit and len(rest) > MIN_SHARE * total:
        cells, inverse, counts = np.unique((rest // 10).astype(int), axis=0, return_inverse=True, return_counts=True)
        peak = rest[inverse.ravel() == counts.argmax()].mean(0)
        near = distance(rest, peak) < MARK_RADIUS
        if near.mean() * len(rest) > MIN_SHARE * total:
            found.append(rest[near].mean(0))
        rest = rest[~near] if near.any() else rest[:0]
    return found


@lru_cache(maxsize=16)
def _ordinary_figures(skin: str) -> tuple[Figure, ...]:
    rng, figures = random.Random(f"ordinary-{skin}"), []
    for _ in range(48):
        creature = random_creature(rng)
        creature = creature if skin == "none" else replace(creature, color=skin)
        figures.append(find_figure(np.asarray(draw_creature(creature))))
    return tuple(figures)


def signature_from_references(images: Iterable[object]) -> Signature:
    """The signature that the reference pictures share.

    Raises:
        ValueError: The references have no color that ordinary creatures do not have as well.
    """
    pictures = as_pictures(images)
    figures = [find_figure(picture) for picture in pictures]
    skins = [read_skin(shrink(picture))[0] for picture in pictures]
    skin = max(set(skins), key=skins.count)
    ordinary = _ordinary_figures(skin)
    marks: list[Mark] = []
    for lab in dominant_colors(np.concatenate([figure.lab for figure in figures])):
        is_known = any(match_distance(np.array(mark.lab), lab) < MATCH_RADIUS for mark in marks)
        mark = None if is_known else _find_mark(lab, figures, () if not marks else ordinary)
        marks += [] if mark is None else [mark]
    if len(marks) < 2:
        raise ValueError(f"no color sets these {len(pictures)} pictures apart from ordinary creatures")
    return Signature(tuple(marks))


def _find_mark(lab: np.ndarray, figures: Sequence[Figure], ordinary: Sequence[Figure]) -> Mark | None:
    """The mark of a color, unless the figures have little of it or one in ten ordinary ones has half as much."""
    seen = [mark_share(figure, lab) for figure in figures if _is_visible(lab, figure)]
    share = float(np.median([s for s, _ in seen])) if seen else 0.0
    if share < MIN_SHARE or sum(mark_share(figure, lab)[0] > share / 2 for figure in ordinary) > len(ordinary) / 10:
        return None
    return Mark(tuple(lab), share, float(np.median([height for s, height in seen if s > 0])))


def signature_from_colors(colors: Sequence[Color], share: float = 0.04) -> Signature:
    """A signature of RGB colors alone, main color first, each covering about `share`, anywhere."""
    labs = [to_lab(np.array(color)) for color in colors]
    return Signature(tuple(Mark(tuple(lab), share, None) for lab in labs))


def _is_visible(lab: np.ndarray, figure: Figure) -> bool:
    return bool(distance(np.asarray(lab), figure.background) > MARK_RADIUS)


def marks_carried(figure: Figure, signature: Signature) -> list[bool | None]:
    """Per mark, whether the figure carries it; None where it could not be told from the background."""
    carried: list[bool | None] = []
    for mark in signature.marks:
        lab = np.array(mark.lab)
        share, height = mark_share(figure, lab)
        is_placed = mark.height is None or abs(height - mark.height) < HEIGHT_TOLERANCE
        carried.append((share >= SHARE_NEEDED * mark.share and is_placed) if _is_visible(lab, figure) else None)
    return carried


def carries(picture: np.ndarray, signature: Signature) -> bool:
    """Whether the picture shows the OC: its main color and two thirds of all its marks that can be seen."""
    figure = find_figure(picture)
    told = [is_carried for is_carried in marks_carried(figure, signature) if is_carried is not None]
    if len(figure.lab) == 0 or len(told) < 2:
        return False
    return sum(told) >= max(2, round(len(told) * 2 / 3))
