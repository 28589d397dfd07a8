"""What an algorithm declares of itself, so that settings, targets, tools and recipes can ask instead of knowing."""

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
"""Fields of `NetworkSettings` with a default for every algorithm, which not every one reads."""


@dataclass(frozen=True, slots=True, eq=False)
class Start:
    """What a fresh adapter is made from."""

    layer: Layer
    path: str
    """The module's path, for messages."""
    rank: int
    alpha: float
    """Numerator of the scale; rank-stabilized scaling is in it already."""
    settings: "NetworkSettings"
    generator: torch.Generator
    """For the adapter's start; a function of the seed and the module's key alone."""


def accept(settings: "NetworkSettings") -> None:
    """Accept every setting."""


def keep(adapter: Adapter, path: str, settings: "NetworkSettings") -> Adapter:
    """Train what the file holds in the file's own form."""
    return adapter


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Algorithm:
    """One way to train a network."""

    name: str
    """What users choose; saved workflows and files name it, so it never changes."""
    form: Form
    """How files hold what it trains."""
    create: Callable[[Start], Adapter]
    """A fresh adapter with zero change."""
    options: frozenset[str] = frozenset()
    """Fields of `NetworkSettings`, off by default, that it reads. With other algorithms they are refused by name."""
    sizes: frozenset[str] = SIZES
    """Which of `ALL_SIZES` it reads; of the others is said that they have no effect."""
    check: Callable[["NetworkSettings"], None] = accept
    """Raises ValueError for settings that cannot work with it."""
    adopt: Callable[[Adapter, str, "NetworkSettings"], Adapter] = keep
    """(adapter read from a file, module path, settings) to one that trains the same change by this algorithm. For
    algorithms whose files have another one's form."""
    is_ranked: bool = False
    """Whether a rank above the layer's smaller side could only cost memory."""
    adapts_kernels: bool = True
    """Whether it adapts k x k convolutions."""
    is_wide: bool = False
    """Whether the targets `attention_feed_forward` mean all of the U-Net's blocks."""
    own_targets: re.Pattern[str] | None = None
    """Modules that it takes of the targets `attention` and `attention_feed_forward`; None = all of them."""
    pairs: int | None = None
    """Pairs of low-rank matrices in a layer, which tell the file's size; None where the rank does not decide it."""
    lycoris: str | None = None
    """LyCORIS's `algo`; None where it has no such algorithm."""
    sd_scripts: str | None = None
    """The module of sd-scripts that trains it; None where LyCORIS does."""
