"""What a U-Net is trained on: examples, their pictures and captions, and the shape of the U-Net."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from PIL import Image
from torch import Tensor

from .captions import held_out_creatures, training_caption, training_creature
from .denoiser import UNET_SHAPE
from .text import encode_captions
from .world import describe, draw_creature


@dataclass(frozen=True, kw_only=True)
class Course:
    """A world to learn. An example is whatever decides one picture."""

    unet_shape: dict[str, object]
    latent_side: int
    latent_scale: float = 1.0
    """What the VAE's latents are multiplied by to have a standard deviation of about 1."""
    draw_example: Callable[[random.Random], Any]
    picture: Callable[[Any], Image.Image]
    caption: Callable[[Any, random.Random], str]
    """A caption as training sees it."""
    preview_captions: Callable[[], list[str]]
    """Held-out captions for a look while training."""
    encode: Callable[[list[str]], Tensor]
    """Text conditioning (B, 77, 768) of captions."""


CREATURES = Course(
    unet_shape=UNET_SHAPE,
    latent_side=8,
    draw_example=training_creature,
    picture=draw_creature,
    caption=training_caption,
    preview_captions=lambda: [describe(creature) for creature in held_out_creatures()[:24]],
    encode=encode_captions,
)
