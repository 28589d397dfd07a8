"""The pictures that the examples are about, from the pocket model's world, where ComfyUI's nodes look for them."""

import random
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from PIL import Image, ImageChops, ImageOps

from ..pocket.captions import training_creature
from ..pocket.characters import CHARACTERS, OriginalCharacter, draw_character, write_oc_dataset
from ..pocket.world import describe, draw_creature

CHARACTER = "zorblax"
MASKS, CLASS = "zorblax_masks", "creatures"
ONE_IMAGE, ONE_IMAGE_FOLDER = "zorblax_one.png", "one_image"
REAL = "8_real"
"""Folder of the real picture within the loop's dataset: shown eight times as often as a generated one."""
NUM_STYLE, NUM_CLASS = 24, 16


def add_example_data(input_folder: Path) -> None:
    """Write what is not there yet: characters, masks of one, two styles, the class in general, a single picture."""
    for trigger, character in CHARACTERS.items():
        _once(input_folder / trigger, partial(write_oc_dataset, oc=character))
    _once(input_folder / MASKS, partial(_write_masks, pictures=input_folder / CHARACTER))
    for style in (blueprint, ember):
        _once(input_folder / f"{style.__name__}_style", partial(_write_creatures, NUM_STYLE, "style", style))
    _once(input_folder / CLASS, partial(_write_creatures, NUM_CLASS, "class", lambda picture: picture))
    if not (input_folder / ONE_IMAGE).is_file():
        one_image().save(input_folder / ONE_IMAGE)
    _once(input_folder / ONE_IMAGE_FOLDER, write_one_image)


def one_image(character: OriginalCharacter = CHARACTERS[CHARACTER]) -> Image.Image:
    """The only picture there is of the character, in front of the first background it is seen in."""
    return draw_character(character, character.seen_backgrounds[0], random.Random(1))


def write_one_image(folder: Path, character: OriginalCharacter = CHARACTERS[CHARACTER]) -> None:
    """The dataset of round 1: the only picture with its caption."""
    path = folder / REAL / ONE_IMAGE
    path.parent.mkdir(parents=True, exist_ok=True)
    one_image(character).save(path)
    path.with_suffix(".txt").write_text(character.caption(character.seen_backgrounds[0]) + "\n", encoding="utf-8")


def blueprint(picture: Image.Image) -> Image.Image:
    """The picture as white lines on blue: a style that the pocket model does not know."""
    gray = ImageOps.autocontrast(picture.convert("L"))
    return ImageOps.colorize(gray, (16, 40, 120), (235, 245, 255), mid=(60, 110, 200))


def ember(picture: Image.Image) -> Image.Image:
    """The picture as a glow in the dark: another style."""
    gray = ImageOps.autocontrast(picture.convert("L"))
    return ImageOps.colorize(gray, (24, 8, 4), (255, 236, 150), mid=(200, 70, 20))


def _once(folder: Path, write: Callable[[Path], object]) -> None:
    """Writes a folder unless it is there; it appears only when it is complete."""
    if not folder.is_dir():
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
            half = Path(scratch) / folder.name
            half.mkdir()
            write(half)
            half.replace(folder)


def _write_masks(folder: Path, pictures: Path) -> None:
    """White where the character is: what differs from the corner's color, for each picture of its dataset."""
    for path in sorted(pictures.glob("*.png")):
        with Image.open(path) as picture:
            plain = Image.new("RGB", picture.size, picture.convert("RGB").getpixel((0, 0)))
            difference = ImageChops.difference(picture.convert("RGB"), plain).convert("L")
        difference.point(lambda value: 255 if value > 12 else 0).save(folder / path.name)


def _write_creatures(count: int, purpose: str, change: Callable[[Image.Image], Image.Image], folder: Path) -> None:
    for index in range(count):
        creature = training_creature(random.Random(f"{purpose} {index}"))
        path = folder / f"{purpose}_{index:02d}.png"
        change(draw_creature(creature)).save(path)
        path.with_suffix(".txt").write_text(describe(creature) + "\n", encoding="utf-8")
