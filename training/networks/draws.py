"""Random draws inside a forward pass, named so that recomputing or continuing repeats them.

Gradient checkpointing runs a forward pass twice and must see the same masks; a continued run must draw what an
uninterrupted one would have drawn. Both hold: a mask is a function of (seed, purpose, step, micro step, adapter).
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..rng import generator


class Draws:
    """The names of the current forward pass, shared by all adapters of a network."""

    def __init__(self) -> None:
        self.seed = 0
        self.step = 0
        self.micro_step = 0

    def begin(self, seed: int, step: int, micro_step: int) -> None:
        """Name the coming forward passes."""
        self.seed, self.step, self.micro_step = seed, step, micro_step

    def keep_mask(self, purpose: str, index: int, shape: Sequence[int], rate: float, like: Tensor) -> Tensor:
        """Mask that is 0 with probability `rate` and 1 / (1 - rate) otherwise.

        `index` is the adapter's, `shape` the mask's own; device and dtype are those of `like`.
        """
        source = generator(self.seed, purpose, self.step, self.micro_step, index)
        kept = torch.rand(tuple(shape), generator=source) >= rate
        return (kept / (1 - rate)).to(device=like.device, dtype=like.dtype)

    def uniform(self, purpose: str, count: int) -> list[float]:
        """One number in 0..1 for each adapter."""
        source = generator(self.seed, purpose, self.step, self.micro_step)
        return [float(number) for number in torch.rand(count, generator=source)]
