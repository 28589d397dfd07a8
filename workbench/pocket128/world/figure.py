"""Everything that decides one picture of the world, in the words of its caption."""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ..pen import Color

COLORS: dict[str, Color] = {
    "red": (214, 48, 49),
    "blue": (52, 101, 214),
    "green": (46, 160, 67),
    "yellow": (246, 205, 60),
    "purple": (142, 68, 173),
    "orange": (240, 130, 40),
    "pink": (245, 150, 190),
    "gray": (128, 132, 140),
    "white": (242, 242, 240),
    "black": (44, 44, 52),
    "brown": (130, 84, 52),
    "teal": (56, 160, 156),
}
SKINS: dict[str, Color] = {
    "pale": (255, 226, 202),
    "tan": (226, 172, 124),
    "brown": (158, 104, 68),
    "dark": (98, 62, 44),
}
HAIR_COLORS: dict[str, Color] = {
    **{name: COLORS[name] for name in ("red", "blue", "green", "purple", "pink", "black", "brown", "white")},
    "blond": (240, 208, 120),
}
EYE_COLORS = ("blue", "green", "brown", "purple")
PEOPLE = ("girl", "boy")
ANIMALS = ("cat", "dog", "rabbit", "bear", "fox", "frog")
KINDS = (*PEOPLE, *ANIMALS, "robot", "monster")
HAIRSTYLES = ("short", "long", "spiky", "curly", "ponytail", "twintails", "bun")
EXPRESSIONS = ("smiling", "laughing", "sad", "angry", "surprised", "sleeping", "winking", "calm")
POSES = ("standing", "waving", "arms up", "hands on hips", "sitting", "running")
CLOTHES = ("shirt", "striped shirt", "hoodie", "dress", "overalls", "coat")
BARE = "no clothes"
HATS = ("cap", "beanie", "crown", "top hat", "bow", "flower", "headphones")
THINGS = ("balloon", "book", "flower", "sword", "ice cream", "umbrella", "lantern")
SCENES = ("night", "beach", "forest", "room", "snow", "meadow", "city")
PLAIN_COLORS = ("white", "black", "gray", "teal", "brown", "blue", "yellow", "pink", "green", "purple")
COVERING_HATS = ("cap", "beanie", "crown", "top hat")
"""Under these neither a bun nor short hair is to be seen."""
COLORED_THINGS = ("balloon", "book", "flower", "umbrella")
LINES = ("flat", "outlined", "inked")
"""No edges; edges in a darker tone of what they enclose; black edges."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One figure in one place. None and "" mean: there is none."""

    kind: str
    color: str
    """Of people the skin, of others the fur, metal or skin."""
    eye_color: str
    num_eyes: int = 2
    hairstyle: str = ""
    hair_color: str = ""
    expression: str = "smiling"
    pose: str = "standing"
    clothes: str = BARE
    cloth_color: str = ""
    hat: str = ""
    hat_color: str = ""
    thing: str = ""
    thing_color: str = ""
    has_glasses: bool = False
    scene: str = ""
    ground_color: str = ""
    """Of a plain background, where there is no scene."""
    is_portrait: bool = False
    lines: str = "outlined"
    shift: tuple[float, float] = (0.0, 0.0)
    """Pixels from the usual place; no word says so."""
    size: float = 1.0
    """Times the usual size; no word says so."""
    seed: int = 0
    """Decides where a scene's trees, stars and windows are."""

    @property
    def is_person(self) -> bool:
        """Whether it has skin and hair."""
        return self.kind in PEOPLE


def random_figure(rng: random.Random) -> Figure:
    """A figure; every word of the world comes up."""
    kind = rng.choice((*PEOPLE, *PEOPLE, *PEOPLE, *KINDS))
    color = rng.choice(tuple(SKINS if kind in PEOPLE else COLORS))
    is_portrait = rng.random() < 0.4
    reach = 4.0 if is_portrait else 8.0
    num_eyes = rng.choice((1, 2, 3)) if kind == "monster" else 2
    expressions = [name for name in EXPRESSIONS if name != "winking" or num_eyes == 2]
    figure = Figure(
        kind=kind,
        color=color,
        eye_color=rng.choice(EYE_COLORS),
        num_eyes=num_eyes,
        expression=rng.choice(expressions),
        pose="standing" if is_portrait else rng.choice(POSES),
        has_glasses=rng.random() < 0.15,
        is_portrait=is_portrait,
        lines=rng.choice(LINES),
        shift=(rng.uniform(-reach, reach), rng.uniform(-3, 3)),
        size=rng.uniform(0.92, 1.06),
        seed=rng.randrange(1_000_000),
    )
    return _with_place(_with_thing(_with_wear(figure, rng), rng), rng)


def _with_wear(figure: Figure, rng: random.Random) -> Figure:
    hat = rng.choice(HATS) if rng.random() < 0.4 else ""
    hat_color = "" if hat in ("", "crown") else rng.choice(tuple(COLORS))
    figure = replace(figure, hat=hat, hat_color=hat_color)
    if figure.is_person:
        styles = [name for name in HAIRSTYLES if hat not in COVERING_HATS or name not in ("short", "bun")]
        figure = replace(figure, hairstyle=rng.choice(styles), hair_color=rng.choice(tuple(HAIR_COLORS)))
    if not figure.is_person and rng.random() < 0.6:
        return figure
    return replace(figure, clothes=rng.choice(CLOTHES), cloth_color=_other(rng, COLORS, figure.color))


def _with_thing(figure: Figure, rng: random.Random) -> Figure:
    if figure.is_portrait or figure.pose not in ("standing", "waving", "sitting") or rng.random() < 0.6:
        return figure
    thing = rng.choice(THINGS)
    return replace(figure, thing=thing, thing_color=rng.choice(tuple(COLORS)) if thing in COLORED_THINGS else "")


def _with_place(figure: Figure, rng: random.Random) -> Figure:
    if rng.random() < 0.4:
        return replace(figure, scene=rng.choice(SCENES))
    return replace(figure, ground_color=_other(rng, PLAIN_COLORS, *_colors_on_ground(figure)))


def _colors_on_ground(figure: Figure) -> tuple[str, ...]:
    return figure.color, figure.cloth_color, figure.hair_color, figure.thing_color


def _other(rng: random.Random, names: Iterable[str], *taken: str) -> str:
    return rng.choice([name for name in names if name not in taken])
