"""The figures as a course for the U-Net: two levels, attention on the lower one of 8x8."""

from __future__ import annotations

import random

from ..pocket.captions import EMPTY_CAPTION_SHARE, FULL_CAPTION_SHARE, TAG_DROPOUT
from ..pocket.course import Course
from ..pocket.denoiser import UNET_SHAPE
from .text import encode_captions
from .world.captions import describe
from .world.drawing import draw_figure
from .world.figure import Figure, random_figure

TWO_LEVELS = {
    **UNET_SHAPE,
    "num_res_blocks": [1, 1],
    "channel_mult": [1, 1],
    "transformer_depth": [0, 1],
    "transformer_depth_output": [0, 0, 1, 1],
}
NUM_HELD_OUT = 64


def held_out_figures() -> list[Figure]:
    """64 figures of a seed that training does not draw from; the world has too many for one to come up again."""
    return [random_figure(random.Random(f"held-out-figure-{index}")) for index in range(NUM_HELD_OUT)]


def training_caption(figure: Figure, rng: random.Random) -> str:
    """A caption with shuffled tags: mostly full, sometimes with tags left out, sometimes empty."""
    if rng.random() < EMPTY_CAPTION_SHARE:
        return ""
    return describe(figure, rng, 0.0 if rng.random() < FULL_CAPTION_SHARE else TAG_DROPOUT)


FIGURES = Course(
    unet_shape=TWO_LEVELS,
    latent_side=16,
    latent_scale=2.0,
    draw_example=random_figure,
    picture=draw_figure,
    caption=training_caption,
    preview_captions=lambda: [describe(figure) for figure in held_out_figures()[:16]],
    encode=encode_captions,
)
