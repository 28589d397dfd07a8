"""Names of the random draws of one micro-step."""

from dataclasses import dataclass

import torch

from ..rng import generator


@dataclass(frozen=True, kw_only=True, slots=True)
class Draws:
    """Position of a batch in the run; determines all of its noise and timesteps.

    Every sample has its own generators, so a batch of n draws the same as n single samples, and processes that share a
    batch draw the same as a single process.
    """

    seed: int
    step: int
    """Optimizer step, from 0."""
    micro_step: int = 0
    """Backward pass within the step, from 0."""
    sample_offset: int = 0
    """Index of the first sample within the micro-step's whole batch; 0 unless several processes share it."""
    timestep: int | None = None
    """One timestep for every sample, for validation. None = drawn."""

    def generators(self, purpose: str, num_samples: int) -> list[torch.Generator]:
        """One generator per sample for a purpose."""
        first = self.sample_offset
        return [
            generator(self.seed, purpose, self.step, self.micro_step, first + index) for index in range(num_samples)
        ]
