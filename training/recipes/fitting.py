"""Fits a recipe into memory: optimizer, rank and batch size."""

from collections.abc import Mapping
from dataclasses import dataclass

from ..base_model import ModelFamily
from ..networks.settings import NetworkSettings
from .choices import ADAFACTOR, choose_network, preferred_optimizer
from .estimate import memory_gib
from .request import RecipeRequest

BATCH_SIZES: Mapping[ModelFamily, tuple[tuple[float, int], ...]] = {
    "sd15": ((16.0, 4), (8.0, 2)),
    "sdxl": ((40.0, 4), (20.0, 2)),
}
"""GiB from which a batch size is used, largest first; below all of them 1. Reduced if the estimate requires it."""
RANK_STEP = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """Choices that fit."""

    optimizer: str
    """The preferred one, or Adafactor, which has hardly any state."""
    rank: int
    """The largest rank that fits if the wanted one does not; 0 = the wanted one."""
    batch_size: int
    """Images per step."""


def fit(request: RecipeRequest) -> Fit:
    """The recipe's own choices if they fit into memory, else with the smallest sacrifice.

    If nothing fits, nothing is sacrificed; the warnings say so.
    """
    preferred = preferred_optimizer(request)
    for optimizer in dict.fromkeys((preferred, ADAFACTOR)):
        network = choose_network(request, optimizer).settings
        if fits(request, network, optimizer, 1):
            return Fit(optimizer=optimizer, rank=0, batch_size=_batch_size(request, network, optimizer))
    if not request.rank:
        wanted = choose_network(request, ADAFACTOR).settings.rank
        for rank in range(wanted - wanted % RANK_STEP, 0, -RANK_STEP):
            if fits(request, choose_network(request, ADAFACTOR, rank).settings, ADAFACTOR, 1):
                return Fit(optimizer=ADAFACTOR, rank=rank, batch_size=1)
    return Fit(optimizer=preferred, rank=0, batch_size=1)


def fits(request: RecipeRequest, network: NetworkSettings, optimizer: str, batch_size: int) -> bool:
    """Whether the estimate is within the available memory."""
    return needed_gib(request, network, optimizer, batch_size) <= request.vram_gib


def needed_gib(request: RecipeRequest, network: NetworkSettings, optimizer: str, batch_size: int) -> float:
    """GPU memory, roughly, with gradient checkpointing on `auto`."""
    return memory_gib(network, optimizer, request.family, batch_size, request.family == "sdxl")


def _batch_size(request: RecipeRequest, network: NetworkSettings, optimizer: str) -> int:
    if request.is_low_vram:
        return 1
    allowed = next((size for needed, size in BATCH_SIZES[request.family] if request.vram_gib >= needed), 1)
    fitting = (size for size in (4, 2) if size <= allowed and fits(request, network, optimizer, size))
    return min(next(fitting, 1), request.num_images)
