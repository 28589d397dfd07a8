"""Chooses the good pictures of a batch, in place of a person's eye.

It is told what a person would know: how the character looks (a signature from drawings of it) and which background
was asked for. Nothing that is drawn for the scores is shown to it.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from ..pocket.characters import OriginalCharacter
from ..pocket.measure import parse_caption, signature_of
from ..pocket.readers import read_picture
from ..pocket.signature import find_figure, marks_carried


def choose(pictures: Sequence[Image.Image], caption: str, character: OriginalCharacter, most: int) -> list[int]:
    """Indices of the good ones, the best first, at most so many.

    Good is: the background as asked, the character's body, color and eyes, and at least two thirds of its marks.
    """
    marks = [share_of_marks(picture, caption, character) for picture in pictures]
    order = sorted(range(len(pictures)), key=lambda index: -marks[index])
    return [index for index in order if marks[index] >= 2 / 3][:most]


def share_of_marks(picture: Image.Image, caption: str, character: OriginalCharacter) -> float:
    """Share of the character's marks that the picture carries; 0 where background, body, color or eyes are wrong."""
    pixels = np.asarray(picture.convert("RGB"))
    seen, wanted = read_picture(pixels), parse_caption(caption)
    own = character.creature
    seen_parts = (seen.background, seen.body, seen.color, seen.eyes)
    is_fine = seen_parts == (wanted.background, own.body, own.color, own.eyes)
    carried = [c for c in marks_carried(find_figure(pixels), signature_of(character)) if c is not None]
    return sum(carried) / len(carried) if is_fine and len(carried) >= 2 else 0.0
