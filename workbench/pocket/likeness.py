"""How well the likeness of Compare LoRAs tells one drawn character from others: `pack.workbench.pocket.likeness`.

References are the twelve pictures of a character's dataset. Scored against them are new drawings of it, moved and on
backgrounds its dataset never shows, and as many of others on every background: the other original characters, and
random creatures of the world. Printed for each character: mean scores of the same and of the others, the standard
deviation of the others, and the share of pairs (one of it, one of another) in which it scores higher (1 = always).
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from ...training.compare.likeness import describe, likeness
from ...training.data.images import pixels_HWC
from .characters import CHARACTERS, OriginalCharacter, draw_character, reference_images
from .world import BACKGROUNDS, draw_creature, random_creature

NUM_PICTURES = 60


@dataclass(frozen=True)
class Separation:
    """Scores of pictures of the character and of others."""

    same: Tensor
    others: Tensor

    @property
    def share(self) -> float:
        """Pairs in which the same character scores higher, 0..1."""
        return float((self.same[:, None] > self.others[None, :]).float().mean())


def same_pictures(character: OriginalCharacter, rng: random.Random) -> Iterator[Image.Image]:
    """New drawings on backgrounds that its dataset never shows."""
    for index in range(NUM_PICTURES):
        yield draw_character(character, character.unseen_backgrounds[index % len(character.unseen_backgrounds)], rng)


def other_characters(character: OriginalCharacter, rng: random.Random) -> Iterator[Image.Image]:
    """The other original characters on every background."""
    others = [other for other in CHARACTERS.values() if other is not character]
    for index in range(NUM_PICTURES):
        yield draw_character(others[index % len(others)], list(BACKGROUNDS)[index % len(BACKGROUNDS)], rng)


def creatures(rng: random.Random) -> Iterator[Image.Image]:
    """Random creatures of the world."""
    for _ in range(NUM_PICTURES):
        yield draw_creature(random_creature(rng))


def separations(character: OriginalCharacter) -> dict[str, Separation]:
    """By what the others are."""
    references = _described([picture for picture, _ in reference_images(character)])
    rng = random.Random(7)
    same = _scores(list(same_pictures(character, rng)), references)
    return {
        "other characters": Separation(same, _scores(list(other_characters(character, rng)), references)),
        "creatures": Separation(same, _scores(list(creatures(rng)), references)),
    }


def _described(pictures: Sequence[Image.Image]) -> Tensor:
    return torch.stack([describe(pixels_HWC(picture)) for picture in pictures])


def _scores(pictures: Sequence[Image.Image], references: Tensor) -> Tensor:
    return torch.tensor([likeness(described, references) for described in _described(pictures)])


def main() -> None:
    """Print the table."""
    print("| character | against | same | others | spread of others | same is higher in |\n|---|---|---|---|---|---|")
    for name, character in CHARACTERS.items():
        for others, found in separations(character).items():
            figures = (
                f"{found.same.mean():.3f} | {found.others.mean():.3f} | {found.others.std():.3f} | {found.share:.1%}"
            )
            print(f"| {name} | {others} | {figures} |")


if __name__ == "__main__":
    main()
