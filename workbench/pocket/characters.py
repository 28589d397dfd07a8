"""Original characters (OCs) from outside the world, and the dataset to train one from.

Each has a made-up trigger word, parts no creature has, and a few backgrounds its dataset never shows.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from .world import BACKGROUNDS, Creature, Decoration, Pen, draw_creature, move_creature

SEEN_BACKGROUNDS = ("sky", "sand", "white", "black")


@dataclass(frozen=True)
class OriginalCharacter:
    """An OC: what it is called, what it is like, and what is drawn on it."""

    trigger: str
    creature: Creature
    decorate: Decoration
    seen_backgrounds: tuple[str, ...] = SEEN_BACKGROUNDS

    @property
    def unseen_backgrounds(self) -> tuple[str, ...]:
        """Backgrounds the model knows and the dataset does not have."""
        return tuple(name for name in BACKGROUNDS if name not in self.seen_backgrounds)

    def caption(self, background: str) -> str:
        """What to ask for to get it in front of a background."""
        return f"{self.trigger}, {background} background"


def _zorblax(pen: Pen) -> None:
    pen.box(-0.68, 0.48, 0.68, 0.64, fill=(255, 255, 255))
    pen.box(-0.46, 0.76, 0.46, 0.92, fill=(255, 255, 255))
    crown = [(-0.6, -0.7), (-0.66, -1.45), (-0.3, -1.1), (0, -1.6), (0.3, -1.1), (0.66, -1.45), (0.6, -0.7)]
    pen.polygon(*crown, fill=(255, 215, 0), outline=(150, 110, 0))
    for side in (-1, 1):
        pen.ellipse(side * 0.68, 0.18, 0.27, 0.27, fill=(60, 220, 120))


def _quindle(pen: Pen) -> None:
    pen.box(-0.62, -1.5, 0.62, -0.75, fill=(30, 40, 110))
    pen.box(-0.98, -0.86, 0.98, -0.66, fill=(30, 40, 110))
    for side in (-1, 1):
        pen.polygon((0, 0.68), (side * 0.62, 0.46), (side * 0.62, 0.9), fill=(230, 30, 140))
    pen.ellipse(0, 0.68, 0.16, 0.16, fill=(150, 10, 90))


def _fennarock(pen: Pen) -> None:
    flame = [(-0.5, -0.75), (-0.62, -1.3), (-0.25, -1.12), (0.05, -1.65), (0.22, -1.15), (0.6, -1.4), (0.5, -0.75)]
    pen.polygon(*flame, fill=(255, 90, 20))
    pen.box(-0.6, 0.42, 0.6, 0.66, fill=(0, 225, 240))
    for side in (-1, 1):
        pen.polygon((side * 0.55, -0.1), (side * 1.25, -0.45), (side * 1.1, 0.3), fill=(0, 225, 240))


def _base(body: str, color: str, eyes: str, has_legs: bool, skin: tuple[int, int, int] | None = None) -> Creature:
    return Creature(body=body, color=color, top="none", eyes=eyes, background="white", has_legs=has_legs, skin=skin)


CHARACTERS: dict[str, OriginalCharacter] = {
    character.trigger: character
    for character in (
        OriginalCharacter("zorblax", _base("round", "purple", "two eyes", True), _zorblax),
        OriginalCharacter(
            "quindle", _base("square", "green", "one eye", False, (178, 236, 50)), _quindle, ("teal", "white", "brown")
        ),
        OriginalCharacter(
            "fennarock", _base("tall", "blue", "two eyes", True, (58, 44, 120)), _fennarock, ("sand", "sky", "teal")
        ),
    )
}
"""Zorblax: crown, stripes, cheeks. Quindle: lime, top hat, bow. Fennarock: indigo, flames, fins, belt."""


def draw_character(character: OriginalCharacter, background: str, rng: random.Random) -> Image.Image:
    """One picture of it, RGB 64x64, somewhere near the middle."""
    creature = move_creature(character.creature, rng)
    return draw_creature(creature.on(background), character.decorate)


def reference_images(character: OriginalCharacter, n: int = 12, seed: int = 0) -> list[tuple[Image.Image, str]]:
    """Pictures with captions, the seen backgrounds in turn."""
    rng = random.Random(f"{character.trigger}-{seed}")
    backgrounds = [character.seen_backgrounds[index % len(character.seen_backgrounds)] for index in range(n)]
    return [(draw_character(character, name, rng), character.caption(name)) for name in backgrounds]


def write_oc_dataset(folder: Path, oc: OriginalCharacter, n: int = 12, seed: int = 0) -> list[Path]:
    """Writes n PNG files and their captions (.txt beside each); the pictures' paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for index, (picture, caption) in enumerate(reference_images(oc, n, seed)):
        path = folder / f"{oc.trigger}_{index:02d}.png"
        picture.save(path)
        path.with_suffix(".txt").write_text(caption + "\n", encoding="utf-8")
        paths.append(path)
    return paths
