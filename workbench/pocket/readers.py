"""Reads a picture of a creature: background, skin, body, top part, eyes and legs.

Colors come from regions. The rest is analysis by synthesis: of all creatures in all places, the drawing whose
pixels cost least. Pictures are (H, W, 3) uint8 or float 0..1, read at 32x32.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image

from .colors import distance, nearest_name, to_lab
from .world import BACKGROUNDS, BODIES, BONE, EYES, INK, SKINS, TOPS, WHITE, Creature, darken, draw_large

GRID = 32
COST_CAP = 40.0
"""Lab distance beyond which a pixel is simply wrong, so that one odd part does not decide everything."""
FOREGROUND_DISTANCE = 14.0
_LABEL_SKIN = (200, 0, 0)
_LABEL_BACKDROP = (0, 0, 200)
_LABELS = (_LABEL_BACKDROP, _LABEL_SKIN, darken(_LABEL_SKIN), BONE, WHITE, INK)


@dataclass(frozen=True)
class Reading:
    """What is seen in one picture, in the words captions use."""

    background: str
    color: str
    body: str
    top: str
    eyes: str
    has_legs: bool


def as_pictures(images: object) -> np.ndarray:
    """Pictures (N, H, W, 3) uint8 of a list or batch of uint8 arrays, PIL images, or floats 0..1 (torch too)."""
    arrays = np.stack([np.asarray(image) for image in images])
    if arrays.dtype == np.uint8:
        return arrays[..., :3]
    return (arrays[..., :3].clip(0, 1) * 255).round().astype(np.uint8)


def shrink(picture: np.ndarray, size: int = GRID) -> np.ndarray:
    """Lab values (size, size, 3) of a picture, averaged."""
    image = Image.fromarray(picture).resize((size, size), Image.Resampling.BOX)
    return to_lab(np.asarray(image))


def background_lab(lab: np.ndarray) -> np.ndarray:
    """The background's Lab color (3,): the median of the corners and the sides of (H, W, 3)."""
    edge = max(1, len(lab) // 16)
    strip = np.concatenate([lab[:, :edge].reshape(-1, 3), lab[:, -edge:].reshape(-1, 3)])
    return np.median(strip, axis=0)


def foreground_mask(lab: np.ndarray) -> np.ndarray:
    """(H, W) true where a pixel is plainly not background."""
    return distance(lab, background_lab(lab)) > FOREGROUND_DISTANCE


def read_skin(lab: np.ndarray) -> tuple[str, np.ndarray]:
    """The skin's name and its Lab color (3,): the named color that most of the foreground is nearest to."""
    pixels = lab[foreground_mask(lab)]
    if len(pixels) == 0:
        return "none", background_lab(lab)
    names = list(SKINS)
    distances = distance(pixels[:, None], to_lab(np.array([SKINS[name] for name in names]))[None])
    votes = np.where(distances.min(1) < 30, distances.argmin(1), -1)
    counts = [int((votes == index).sum()) for index in range(len(names))]
    best = int(np.argmax(counts))
    if counts[best] == 0:
        return "none", np.median(pixels, axis=0)
    return names[best], np.median(pixels[votes == best], axis=0)


@lru_cache(maxsize=1)
def _templates() -> tuple[list[Creature], np.ndarray]:
    """Creatures and their label maps (T, 1024) uint8: backdrop, skin, dark, bone, white, ink."""
    places = itertools.product((29.5, 31, 32.5, 34.5), (34.2, 35.6), (17.4, 19.0))
    kinds = itertools.product(BODIES, TOPS, EYES, (False, True))
    palette = np.array(_LABELS).astype(int)
    creatures, maps = [], []
    for (x, y, radius), (body, top, eyes, has_legs) in itertools.product(places, kinds):
        creature = Creature(
            body, "red", top, eyes, "white", has_legs, x, y, radius, skin=_LABEL_SKIN, backdrop=_LABEL_BACKDROP
        )
        pixels = np.asarray(draw_large(creature))[4::8, 4::8].reshape(-1, 1, 3).astype(int)
        creatures.append(creature)
        maps.append(np.abs(pixels - palette[None]).sum(-1).argmin(1).astype(np.uint8))
    return creatures, np.stack(maps)


def best_template(lab: np.ndarray, skin: np.ndarray) -> Creature:
    """The creature whose drawing, in this background and skin, differs least from Lab (32, 32, 3)."""
    creatures, maps = _templates()
    fixed = [to_lab(np.array(color)) for color in (BONE, WHITE, INK)]
    colors = [background_lab(lab), skin, skin * np.array([0.55, 0.6, 0.6]), *fixed]
    costs = np.stack([np.minimum(distance(lab, color), COST_CAP).ravel() for color in colors])
    totals = costs.astype(np.float32)[maps, np.arange(GRID * GRID)].sum(1)
    return creatures[int(totals.argmin())]


def read_picture(picture: np.ndarray) -> Reading:
    """Everything about one picture (H, W, 3) uint8."""
    lab = shrink(picture)
    color, skin = read_skin(lab)
    seen = best_template(lab, skin)
    background = nearest_name(background_lab(lab), BACKGROUNDS)
    return Reading(background, color, seen.body, seen.top, seen.eyes, seen.has_legs)
