"""Whether a LoRA is overfit: what it changes in pictures of other subjects, beside what it changes where asked for.

Both are looked at beside the base model's own pictures of the same prompts and seeds. A LoRA that was trained well
leaves other subjects nearly as they are; one that was trained too long changes them as well. Likeness to references
cannot tell: other subjects change, and become wrong, long before they look like what was trained.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .likeness import describe

OVERFIT = 0.25
"""Share from which a LoRA is called overfit. On the pocket model it lies between the steps at which the character is
there and other creatures are as before, and those at which others suffer (`pack.workbench.pocket.overfit`)."""
MIN_CHANGED = 0.05
"""A LoRA that changes less than this where it is asked for shows nothing that could be overfit."""


def change(pictures: Sequence[Tensor], before: Sequence[Tensor]) -> float:
    """How far pictures (H, W, 3) are, on average, from those before: 0 = the same colors and edges, at most 1."""
    pairs = zip(pictures, before, strict=True)
    alike = [cosine_similarity(describe(picture), describe(old), dim=0) for picture, old in pairs]
    return 1 - float(torch.stack(alike).mean())


def share_of_others(asked: float, others: float) -> float | None:
    """What is changed in other subjects, as a share of what is changed where the LoRA is asked for, 0..1.

    None where too little is changed to say.
    """
    return None if asked < MIN_CHANGED else min(1.0, max(0.0, others / asked))
