"""Detects overfit LoRAs: how much they change pictures of other subjects, relative to those they are asked for.

Both are compared with the base model's pictures of the same prompts and seeds. A well-trained LoRA leaves other
subjects almost unchanged; one that was trained too long changes them too. Similarity to references cannot show this:
other subjects change, and become wrong, long before they look like the trained one.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .likeness import describe

OVERFIT = 0.25
"""Share from which a LoRA counts as overfit.

On the small test model it lies between steps at which the character is learned and other creatures are unchanged, and
steps at which others suffer (`pack.workbench.pocket.overfit`).
"""
MIN_CHANGED = 0.05
"""A LoRA that changes less than this where it is asked for shows nothing that could be overfit."""


def change(pictures: Sequence[Tensor], before: Sequence[Tensor]) -> float:
    """Mean difference of pictures (H, W, 3) from those before: 0 = equal colors and edges, at most 1."""
    pairs = zip(pictures, before, strict=True)
    alike = [cosine_similarity(describe(picture), describe(old), dim=0) for picture, old in pairs]
    return 1 - float(torch.stack(alike).mean())


def share_of_others(asked: float, others: float) -> float | None:
    """Change of other subjects as a share of the change where the LoRA is asked for, 0..1.

    None if the change is too small to tell.
    """
    return None if asked < MIN_CHANGED else min(1.0, max(0.0, others / asked))
