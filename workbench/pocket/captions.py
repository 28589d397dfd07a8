"""Captions kept for measuring, and captions as pretraining sees them."""

from __future__ import annotations

import random
from functools import lru_cache

from .world import Creature, describe, random_creature

HELD_OUT_SEED = 20_250
NUM_HELD_OUT = 64
NEW_TO_FIRST_WEIGHTS = (2, 5, 10, 16, 19, 20, 34, 35, 40, 42, 48, 60)
"""Those of the 64 that the first weights, from which the kept ones were continued, had not seen either."""
FULL_CAPTION_SHARE = 0.75
"""Share of the captions that name everything; so an absent tag mostly means an absent part."""
EMPTY_CAPTION_SHARE = 0.1
TAG_DROPOUT = 0.4
"""Chance of each tag to be left out of the other captions."""


@lru_cache(maxsize=1)
def held_out_creatures() -> tuple[Creature, ...]:
    """64 creatures, all different, whose captions pretraining never uses."""
    rng, kept, seen = random.Random(HELD_OUT_SEED), [], set()
    while len(kept) < NUM_HELD_OUT:
        creature = random_creature(rng)
        if (tags := tag_set(describe(creature))) not in seen:
            seen.add(tags)
            kept.append(creature)
    return tuple(kept)


@lru_cache(maxsize=1)
def held_out_tags() -> frozenset[frozenset[str]]:
    """The tag sets of the held-out captions, in no order, without the word creature."""
    return frozenset(tag_set(describe(creature)) for creature in held_out_creatures())


def tag_set(caption: str) -> frozenset[str]:
    """The tags of a caption in no order, without the word creature."""
    return frozenset(tag for tag in caption.split(", ") if tag != "creature")


def training_creature(rng: random.Random) -> Creature:
    """A random creature that is not held out."""
    while tag_set(describe(creature := random_creature(rng))) in held_out_tags():
        pass
    return creature


def training_caption(creature: Creature, rng: random.Random) -> str:
    """A caption with shuffled tags: mostly full, sometimes with tags left out, sometimes empty."""
    kind = rng.random()
    if kind < EMPTY_CAPTION_SHARE:
        return ""
    if kind < EMPTY_CAPTION_SHARE + (1 - EMPTY_CAPTION_SHARE) * FULL_CAPTION_SHARE:
        return describe(creature, rng)
    while tag_set(caption := describe(creature, rng, TAG_DROPOUT)) in held_out_tags():
        pass
    return caption if rng.random() < 0.5 else caption.removeprefix("creature, ")
