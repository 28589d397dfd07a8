"""How far the colors of pictures are from a character's own, which identity does not see.

A crown of glaring yellow where gold is right still is a crown. Blotches count too.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from PIL import Image

from ..pocket.characters import OriginalCharacter, reference_images
from ..pocket.colors import distance, to_lab
from ..pocket.signature import find_figure

NEAR = 20.0
"""Lab distance up to which a color is one of the drawings': plainly another beyond it."""


def off_color(pictures: Sequence[Image.Image], character: OriginalCharacter) -> float:
    """Share of the figures' pixels, 0..1, whose color no drawing of the character has."""
    palette = _palette(character)
    return float(np.mean([_share(find_figure(np.asarray(one.convert("RGB"))).lab, palette) for one in pictures]))


def _share(lab_P3: np.ndarray, palette: np.ndarray) -> float:
    if not len(lab_P3):
        return 0.0
    nearest = np.min([distance(lab_P3, color) for color in palette], axis=0)
    return float((nearest > NEAR).mean())


@lru_cache(maxsize=8)
def _palette(character: OriginalCharacter) -> np.ndarray:
    """All colors of its drawings, edges included, to about 8 of Lab."""
    labs = [to_lab(np.asarray(picture)).reshape(-1, 3) for picture, _ in reference_images(character)]
    return np.unique((np.concatenate(labs) / 8).round(), axis=0) * 8
