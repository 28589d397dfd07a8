"""Random masks inside a forward pass, reproducible when a pass is recomputed or a run resumed.

Gradient checkpointing runs a forward pass twice and needs the same masks; a resumed run must draw what an uninterrupted
one would have drawn. So a mask is a function of (seed, purpose, step, micro step, adapter).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..devices import upload
from ..rng import generator
from .share import Share


class Draws:
    """Names of the current forward pass, shared by all adapters of a network."""

    def __init__(self) -> None:
        self.seed = 0
        self.step = 0
        self.micro_step = 0
        self.share: Share | None = None
        self.noise_B: Tensor | None = None
        """Noise level of each sample, 0..1; None while no denoiser runs."""

    def begin(self, seed: int, step: int, micro_step: int, share: Share | None = None) -> None:
        """Name the coming forward passes; `share` is the part of the batch that they compute, None = all of it."""
        self.seed, self.step, self.micro_step, self.share = seed, step, micro_step, share
        self.noise_B = None

    def keep_mask(self, purpose: str, index: int, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """Mask that is 0 with probability `rate` and 1 / (1 - rate) otherwise.

        `index` is the adapter's, `shape` the mask's own; device and dtype are those of `like`.
        """
        source = generator(self.seed, purpose, self.step, self.micro_step, index)
        kept = torch.rand(tuple(shape), generator=source) >= rate
        return upload([kept / (1 - rate)], like.device)[0].to(like.dtype)

    def keep_mask_of_samples(self, purpose: str, index: int, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """A mask whose first dimension is the samples; for a share of a batch, the rows of its samples.

        If the first dimension is something else, such as a text encoder's distinct captions, it is the plain mask.
        """
        share = self.share
        if share is None or share.count == share.whole or shape[0] != share.count:
            return self.keep_mask(purpose, index, shape, rate, like)
        mask = self.keep_mask(purpose, index, [share.whole, *shape[1:]], rate, like)
        return mask[share.first : share.first + share.count]

    def uniform(self, purpose: str, count: int) -> list[float]:
        """One number in 0..1 for each adapter."""
        source = generator(self.seed, purpose, self.step, self.micro_step)
        return [float(number) for number in torch.rand(count, generator=source)]
