"""What a picture of the world is called: everything that is to be seen, in the words people prompt with."""

from __future__ import annotations

import random

from .figure import BARE, Figure

SCENE_WORDS = {
    "night": "at night",
    "beach": "on the beach",
    "forest": "in a forest",
    "room": "in a room",
    "snow": "in the snow",
    "meadow": "in a meadow",
    "city": "in the city",
}
HAIR_WORDS = {
    **{name: f"{name} {{}} hair" for name in ("short", "long", "spiky", "curly")},
    "ponytail": "{} ponytail",
    "twintails": "{} twintails",
    "bun": "{} hair in a bun",
}
LINE_WORDS = {"flat": "flat colors", "outlined": "soft outlines", "inked": "black outlines"}


def subject(figure: Figure) -> str:
    """Who it is, with the color of those who are no people."""
    return figure.kind if figure.is_person else f"{figure.color} {figure.kind}"


def tags(figure: Figure) -> list[str]:
    """Everything about the figure but who it is, each a phrase of its own."""
    found = [figure.expression]
    if figure.is_person:
        found += [HAIR_WORDS[figure.hairstyle].format(figure.hair_color), f"{figure.color} skin"]
    found += _eyes(figure)
    if figure.has_glasses:
        found.append("glasses")
    if figure.clothes != BARE:
        found.append(f"{figure.cloth_color} {figure.clothes}")
    if figure.hat:
        found.append(f"{figure.hat_color or 'golden'} {figure.hat}")
    if figure.thing:
        found.append(f"holding {_article(f'{figure.thing_color} {figure.thing}'.strip())}")
    found.append("portrait" if figure.is_portrait else figure.pose)
    found.append(SCENE_WORDS[figure.scene] if figure.scene else f"{figure.ground_color} background")
    found.append(LINE_WORDS[figure.lines])
    return found


def _eyes(figure: Figure) -> list[str]:
    """How many eyes where they are not two, and their color where they are open."""
    number = {1: "one", 2: "", 3: "three"}[figure.num_eyes]
    color = "" if figure.expression in ("sleeping", "laughing") else figure.eye_color
    words = [word for word in (number, color) if word]
    return [" ".join([*words, "eye" if figure.num_eyes == 1 else "eyes"])] if words else []


def describe(figure: Figure, rng: random.Random | None = None, tag_dropout: float = 0.0) -> str:
    """The caption; with `rng` its tags are shuffled and each is left out with chance `tag_dropout`."""
    found = tags(figure)
    if rng is not None:
        found = [tag for tag in found if rng.random() >= tag_dropout]
        rng.shuffle(found)
    return ", ".join([_article(subject(figure)), *found])


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"
