"""What is compared: the cases, and the interface of a contestant.

A contestant builds its trainer and trains; after each optimizer step it calls the gate, which returns when the next
step may start. So every trainer runs its own loop, and only the time between two calls is measured.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...training.base_model import Checkpointing
from ...training.networks.settings import NetworkSettings
from ..layouts import LAYOUTS, Layout

Gate = Callable[[], None]
TOKENS = 77
STEPS = 1_000_000
"""More steps than any measurement takes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One comparison: the same work for all contestants."""

    layout_name: str = "sd15"
    latent: int = 32
    """Rows and columns of the latents; pixels are eight times that."""
    batch: int = 1
    rank: int = 16
    algorithm: str = "lora"
    targets: str = "attention_feed_forward"
    checkpointing: Checkpointing = "off"
    weight_decompose: bool = False
    optimizer: str = "AdamW"

    @property
    def layout(self) -> Layout:
        """The U-Net."""
        return LAYOUTS[self.layout_name]

    def network(self) -> NetworkSettings:
        """What is trained."""
        return NetworkSettings(
            algorithm=self.algorithm,  # pyright: ignore[reportArgumentType]
            rank=self.rank,
            alpha=self.rank,
            targets=self.targets,  # pyright: ignore[reportArgumentType]
            weight_decompose=self.weight_decompose,
        )

    def images(self) -> list[Tensor]:
        """Latents of a small dataset, (1, C, H, W) each."""
        generator = torch.Generator().manual_seed(1)
        return [torch.randn(1, 4, self.latent, self.latent, generator=generator) for _ in range(2 * self.batch)]

    def contexts(self) -> list[Tensor]:
        """Text conditioning of each image, (1, L, D)."""
        generator = torch.Generator().manual_seed(2)
        return [torch.randn(1, TOKENS, self.layout.context_dim, generator=generator) for _ in self.images()]


def stacked(tensors: Sequence[Tensor], step: int, size: int) -> Tensor:
    """Take the batch of a step in turn."""
    return torch.cat([tensors[(step * size + index) % len(tensors)] for index in range(size)])
