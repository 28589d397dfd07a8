"""What an algorithm declares about itself, so that settings, targets, tools and recipes need no special cases."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from .adapter import Adapter
from .form import Form
from .layer import Layer

if TYPE_CHECKING:
    from .settings import NetworkSettings  # which checks itself against the table of algorithms


SIZES = frozenset({"rank", "alpha", "conv_rank", "conv_alpha"})
ALL_SIZES = SIZES | {"factor", "block_size"}
"""Fields of `NetworkSettings` that always have a value, though not every algorithm uses them."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """Everything a fresh adapter is created from."""

    layer: Layer
    path: str
    """The module's path, for messages."""
    rank: int
    alpha: float
    """Numerator of the scale, rank-stabilized scaling included."""
    settings: "NetworkSettings"
    generator: torch.Generator
    """For initialization; depends on the seed and the module's key alone."""


def accept(settings: "NetworkSettings") -> None:
    """Accept every setting."""


def keep(adapter: Adapter, path: str, settings: "NetworkSettings") -> Adapter:
    """Continue training the adapter in the form that the file has."""
    return adapter


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Algorithm:
    """One way to train a network."""

    name: str
    """The name users choose. Saved workflows and files hold it, so it never changes."""
    form: Form
    """How files store this algorithm's tensors."""
    create: Callable[[Start], Adapter]
    """Creates an adapter with zero change."""
    options: frozenset[str] = frozenset()
    """Optional fields of `NetworkSettings` that it uses. Other algorithms refuse them by name."""
    sizes: frozenset[str] = SIZES
    """Which of `ALL_SIZES` it uses; the user is told that the others have no effect."""
    check: Callable[["NetworkSettings"], None] = accept
    """Raises ValueError for settings that cannot work with it."""
    adopt: Callable[[Adapter, str, "NetworkSettings"], Adapter] = keep
    """From (adapter read from a file, module path, settings) to an adapter of this algorithm with the same change.

    For algorithms that save their result in another algorithm's form.
    """
    is_ranked: bool = False
    """Whether a rank above the layer's smaller side would be useless."""
    adapts_kernels: bool = True
    """Whether it adapts k x k convolutions."""
    is_wide: bool = False
    """Whether the targets `attention_feed_forward` mean all blocks of the U-Net."""
    own_targets: re.Pattern[str] | None = None
    """Modules it adapts of the targets `attention` and `attention_feed_forward`; None = all of them."""
    pairs: int | None = None
    """Pairs of low-rank matrices per layer, for estimates of file size; None if rank does not decide the size."""
    lycoris: str | None = None
    """Name in LyCORIS (`algo`); None if LyCORIS has no such algorithm."""
    sd_scripts: str | None = None
    """Module of sd-scripts that trains it; None if LyCORIS does."""
