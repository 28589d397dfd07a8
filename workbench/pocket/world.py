"""The procedural world the pocket model is pretrained on: captioned creatures, 64x64 pixels.

A creature has a body, a skin color, a top part, eyes, maybe legs, and a plain background. Everything
is drawn from one `random.Random`, so the same seed gives the same picture and the same caption.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace

from PIL import Image, ImageDraw

SIZE_PX = 64
SUPERSAMPLING = 4

Color = tuple[int, int, int]

SKINS: dict[str, Color] = {
    "red": (214, 48, 49),
    "blue": (52, 101, 214),
    "green": (46, 160, 67),
    "yellow": (246, 205, 60),
    "purple": (142, 68, 173),
    "orange": (240, 130, 40),
    "pink": (245, 150, 190),
    "gray": (128, 132, 140),
}
BACKGROUNDS: dict[str, Color] = {
    "white": (245, 245, 245),
    "black": (24, 24, 28),
    "teal": (64, 170, 165),
    "brown": (130, 92, 60),
    "sky": (160, 205, 245),
    "sand": (232, 214, 170),
}
BODIES = ("round", "square", "triangle", "tall")
TOPS = ("horns", "ears", "antenna", "none")
EYES = ("one eye", "two eyes", "three eyes")

BONE: Color = (250, 240, 215)
INK: Color = (20, 20, 20)
WHITE: Color = (255, 255, 255)


@dataclass(frozen=True)
class Creature:
    """Everything that decides one picture."""

    body: str
    color: str
    top: str
    eyes: str
    background: str
    has_legs: bool
    center_x: float = 32.0
    """Pixels from the left."""
    center_y: float = 35.0
    """Pixels from the top."""
    radius: float = 18.0
    """Half the height of a round body, in pixels."""
    skin: Color | None = None
    """RGB that replaces the named color, for what the world does not have; None = the named one."""
    backdrop: Color | None = None
    """RGB that replaces the named background; None = the named one."""

    def on(self, background: str) -> Creature:
        """The same creature in front of another background."""
        return replace(self, background=background)


@dataclass(frozen=True)
class Pen:
    """Draws in units of the creature's radius, measured from its center (x right, y down)."""

    draw: ImageDraw.ImageDraw
    center_x: float
    center_y: float
    radius: float

    def points(self, *xy: tuple[float, float]) -> list[tuple[float, float]]:
        """Canvas coordinates of the given points."""
        return [(self.center_x + x * self.radius, self.center_y + y * self.radius) for x, y in xy]

    def polygon(self, *xy: tuple[float, float], fill: Color, outline: Color | None = None) -> None:
        """A filled polygon, with a thick outline if one is asked for."""
        self.draw.polygon(self.points(*xy), fill=fill, outline=outline, width=5)

    def ellipse(self, x: float, y: float, w: float, h: float, fill: Color, outline: Color | None = None) -> None:
        """A filled ellipse around (x, y) with half axes w and h."""
        self.draw.ellipse(self.points((x - w, y - h), (x + w, y + h)), fill=fill, outline=outline, width=5)

    def box(self, x0: float, y0: float, x1: float, y1: float, fill: Color, outline: Color | None = None) -> None:
        """A filled rectangle."""
        self.draw.rectangle(self.points((x0, y0), (x1, y1)), fill=fill, outline=outline, width=5)


Decoration = Callable[[Pen], None]


def random_creature(rng: random.Random) -> Creature:
    """A creature with every attribute drawn uniformly."""
    return Creature(
        body=rng.choice(BODIES),
        color=rng.choice(tuple(SKINS)),
        top=rng.choice(TOPS),
        eyes=rng.choice(EYES),
        background=rng.choice(tuple(BACKGROUNDS)),
        has_legs=rng.random() < 0.5,
        center_x=rng.uniform(29, 35),
        center_y=rng.uniform(34, 36),
        radius=rng.uniform(17, 19.5),
    )


def move_creature(creature: Creature, rng: random.Random) -> Creature:
    """The same creature somewhere else, a little larger or smaller."""
    return replace(
        creature,
        center_x=rng.uniform(29, 35),
        center_y=rng.uniform(34, 36),
        radius=rng.uniform(17, 19.5),
    )


def describe(creature: Creature, rng: random.Random | None = None, tag_dropout: float = 0.0) -> str:
    """The caption; with `rng` its tags are shuffled and each is left out with chance `tag_dropout`."""
    tags = [
        f"{creature.body} body",
        f"{creature.color} skin",
        creature.eyes,
        f"{creature.background} background",
    ]
    if creature.top != "none":
        tags.append(creature.top)
    if creature.has_legs:
        tags.append("legs")
    if rng is not None:
        tags = [tag for tag in tags if rng.random() >= tag_dropout]
        rng.shuffle(tags)
    return ", ".join(["creature", *tags])


def draw_creature(creature: Creature, decorate: Decoration | None = None) -> Image.Image:
    """The picture, RGB 64x64; `decorate` draws over the body and under the face."""
    return draw_large(creature, decorate).resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX)


def draw_large(creature: Creature, decorate: Decoration | None = None) -> Image.Image:
    """The picture before it is made smaller: RGB 256x256, every pixel one of the drawing's colors."""
    scale = SUPERSAMPLING
    backdrop = creature.backdrop or BACKGROUNDS[creature.background]
    canvas = Image.new("RGB", (SIZE_PX * scale, SIZE_PX * scale), backdrop)
    x, y, radius = creature.center_x * scale, creature.center_y * scale, creature.radius * scale
    pen = Pen(ImageDraw.Draw(canvas), x, y, radius)
    skin = creature.skin or SKINS[creature.color]
    dark = darken(skin)
    if creature.has_legs:
        _draw_legs(pen, dark)
    _draw_top(pen, creature, skin, dark)
    _draw_body(pen, creature.body, skin, dark)
    if decorate is not None:
        decorate(pen)
    _draw_face(pen, creature)
    return canvas


def darken(skin: Color) -> Color:
    """The color of outlines and legs."""
    red, green, blue = skin
    return int(red * 0.55), int(green * 0.55), int(blue * 0.55)


def _draw_legs(pen: Pen, dark: Color) -> None:
    for side in (-1, 1):
        pen.box(side * 0.42 - 0.14, 0.6, side * 0.42 + 0.14, 1.34, fill=dark)


def _draw_top(pen: Pen, creature: Creature, skin: Color, dark: Color) -> None:
    spread = {"triangle": 0.62, "tall": 0.8}.get(creature.body, 1.0)
    drop = 0.25 if creature.body == "triangle" else 0.0
    if creature.top == "horns":
        for side in (-spread, spread):
            tip, inner, outer = (side * 0.95, -1.5 + drop), (side * 0.2, -0.75), (side * 0.85, -0.4 + drop)
            pen.polygon(inner, outer, tip, fill=BONE, outline=dark)
    elif creature.top == "ears":
        for side in (-spread, spread):
            pen.ellipse(side * 0.72, -0.92 + drop, 0.4, 0.48, fill=skin, outline=dark)
    elif creature.top == "antenna":
        pen.box(-0.09, -1.4, 0.09, -0.6, fill=dark)
        pen.ellipse(0, -1.4, 0.26, 0.26, fill=skin, outline=dark)


def _draw_body(pen: Pen, body: str, skin: Color, dark: Color) -> None:
    if body == "round":
        pen.ellipse(0, 0, 1, 1, fill=skin, outline=dark)
    elif body == "square":
        pen.box(-0.92, -0.92, 0.92, 0.92, fill=skin, outline=dark)
    elif body == "triangle":
        pen.polygon((0, -1.15), (1.15, 0.9), (-1.15, 0.9), fill=skin, outline=dark)
    elif body == "tall":
        pen.ellipse(0, 0, 0.66, 1.15, fill=skin, outline=dark)
    else:
        raise ValueError(f"body must be one of {BODIES}, got {body!r}")


def _draw_face(pen: Pen, creature: Creature) -> None:
    count = 1 + EYES.index(creature.eyes)
    radius, gap = {1: (0.36, 0.0), 2: (0.25, 0.64), 3: (0.21, 0.48)}[count]
    if creature.body in ("triangle", "tall") and count > 1:
        radius, gap = {2: (0.22, 0.54), 3: (0.18, 0.4)}[count]
    y = 0.12 if creature.body == "triangle" else -0.2
    for index in range(count):
        x = (index - (count - 1) / 2) * gap
        pen.ellipse(x, y, radius, radius, fill=WHITE)
        pen.ellipse(x, y, radius * 0.52, radius * 0.52, fill=INK)
    start, end = pen.points((-0.34, y + 0.22), (0.34, y + 0.66))
    pen.draw.arc([start, end], 15, 165, fill=INK, width=8)
