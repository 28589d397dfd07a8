"""Characters nobody tuned for: made-up ones of a seed, and avatars of a public generator, each with all its pictures.

A character is drawn on six backgrounds in three poses or with three mouths, so the right picture of every prompt is
known. Nine pictures, three backgrounds, are its dataset; the other nine are never shown.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from PIL import Image

from ..pocket.world import BACKGROUNDS, BODIES, EYES, SIZE_PX, Creature, Pen, darken, draw_creature
from .parts import PARTS, POSES, draw_arms

SEEN = ("white", "teal", "sand")
UNSEEN = tuple(name for name in BACKGROUNDS if name not in SEEN)
STYLES = ("adventurer", "bottts", "personas")
SYLLABLES = ("zor", "bla", "qui", "fen", "mok", "tri", "vex", "lum", "dro", "kip", "sna", "wub")

Prompt = tuple[str, str]
"""A pose or mouth, and a background."""


@dataclass(frozen=True)
class Outsider:
    """A character: its trigger word, what it is, and its pictures by what is asked for."""

    trigger: str
    kind: str
    pictures: Mapping[Prompt, Image.Image]

    def prompts(self, backgrounds: tuple[str, ...]) -> list[Prompt]:
        """All of its prompts on these backgrounds."""
        return [prompt for prompt in self.pictures if prompt[1] in backgrounds]

    def caption(self, prompt: Prompt) -> str:
        """What to ask for to get the picture of a prompt."""
        return f"{self.trigger}, {prompt[0]}, {prompt[1]} background"


def trigger_word(rng: random.Random) -> str:
    """A word of three syllables that means nothing."""
    return "".join(rng.sample(SYLLABLES, 3))


def made_up(seed: str) -> Outsider:
    """A character of a random shape and color with two to four of the twenty parts."""
    rng = random.Random(f"outsider-{seed}")
    trigger, names = trigger_word(rng), rng.sample(list(PARTS), rng.randint(2, 4))
    colors = {name: (rng.randrange(256), rng.randrange(256), rng.randrange(256)) for name in names}
    skin = (rng.randrange(40, 256), rng.randrange(40, 256), rng.randrange(40, 256))
    shape = Creature(rng.choice(BODIES), "gray", "none", rng.choice(EYES), "white", rng.random() < 0.5, skin=skin)

    def picture(pose: str, background: str) -> Image.Image:
        def decorate(pen: Pen) -> None:
            draw_arms(pen, pose, darken(skin))
            for name in names:
                PARTS[name](pen, colors[name])

        return draw_creature(shape.on(background), decorate)

    prompts = list(product(POSES, BACKGROUNDS))
    return Outsider(trigger, f"made up: {', '.join(names)}", {prompt: picture(*prompt) for prompt in prompts})


def avatars(folder: Path) -> list[Outsider]:
    """The characters of a folder that `vectors.mjs characters` wrote: files `style-seed-mouth-background.png`.

    Raises:
        ValueError: there are none.
    """
    found: dict[tuple[str, str], dict[Prompt, Image.Image]] = {}
    for path in sorted(folder.glob("*.png")):
        style, seed, mouth, background = path.stem.split("-")
        with Image.open(path) as opened:
            picture = opened.convert("RGB").resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)
        found.setdefault((style, seed), {})[mouth, background] = picture
    if not found:
        raise ValueError(f"{folder} holds no avatars; write them with vectors.mjs (workbench/outsiders/README.md)")
    return [
        Outsider(trigger_word(random.Random(f"avatar-{style}-{seed}")), f"avatar: {style}", _in_order(pictures))
        for (style, seed), pictures in found.items()
    ]


def _in_order(pictures: Mapping[Prompt, Image.Image]) -> dict[Prompt, Image.Image]:
    """By mouth, then by background as the made-up ones are, so that places can be compared."""
    order = list(BACKGROUNDS)
    return {prompt: pictures[prompt] for prompt in sorted(pictures, key=lambda one: (one[0], order.index(one[1])))}


def cast(count: int, folder: Path) -> list[Outsider]:
    """Half of them made up, half avatars, the styles in turn."""
    drawn = avatars(folder)
    by_style = [[one for one in drawn if one.kind == f"avatar: {style}"] for style in STYLES]
    in_turn = [one for group in zip(*by_style, strict=True) for one in group]
    if count // 2 > len(in_turn):
        raise ValueError(f"--characters must be at most {2 * len(in_turn)}, got {count}: there are no more avatars")
    return [made_up(str(index)) for index in range(count - count // 2)] + in_turn[: count // 2]
