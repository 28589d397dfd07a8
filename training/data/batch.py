"""The batch that one step trains on.

Shapes: B samples, C latent channels, H W latent rows and columns.
"""

from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from ..base_model import ImageSize


class SampleRef(NamedTuple):
    """One appearance of an image in an epoch."""

    entry: int
    """Index into the prepared entries."""
    repeat: int
    """Which of its appearances in the epoch, from 0; each has its own random draws."""


@dataclass(frozen=True, slots=True)
class BatchPlan:
    """The samples of a batch, all of one bucket."""

    samples: tuple[SampleRef, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """Samples of one size, on the CPU."""

    latents_BCHW: Tensor
    """Scaled latents, float32."""
    captions: tuple[str, ...]
    """Caption of each sample for this step; may be empty."""
    sizes: tuple[ImageSize, ...]
    """Size conditioning of each sample."""
    mask_B1HW: Tensor | None
    """Loss weight by area, 0..1, float32; None if no sample has a mask."""
    loss_weight_B: Tensor
    """Weight of each sample's subset, float32."""
    is_regularization_B: Tensor
    """True for regularization images, bool."""
    image_ids: tuple[int, ...]
    """Number of the distinct image of each sample; `PreparedDataset.image_names` names it."""
