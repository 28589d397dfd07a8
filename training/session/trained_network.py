"""What of the requested network is trained, has no effect, or cannot be saved.

A part with learning rate 0 in every stage is left out of the run's network.
"""

from dataclasses import replace
from math import sqrt

import torch

from ..base_model import PartName
from ..loop.stages import stage_optimizers
from ..networks.idle import idle_notes
from ..networks.network import Network
from ..networks.settings import NetworkSettings
from ..optimizers.rates import part_rate
from .idle_options import idle_options
from .request import TrainRequest


def trained_parts(request: TrainRequest) -> tuple[PartName, ...]:
    """Parts with a learning rate above 0 in some stage; all if there are none, which the optimizer refuses."""
    optimizers = stage_optimizers(request.stages, request.optimizer)
    parts = request.network.parts
    return tuple(part for part in parts if any(part_rate(own, part) > 0 for own in optimizers)) or parts


def without_frozen_parts(request: TrainRequest) -> TrainRequest:
    """The request with the network reduced to the trained parts; the run's key is that of the original request."""
    return replace(request, network=replace(request.network, parts=trained_parts(request)))


def network_notes(asked: TrainRequest, network: Network) -> tuple[str, ...]:
    """What has no effect in the request, a line each."""
    frozen = [part for part in asked.network.parts if part not in trained_parts(asked)]
    rates = [f"{', '.join(frozen)}: learning rate 0 in every stage, not trained"] if frozen else []
    optimizers = stage_optimizers(asked.stages, asked.optimizer)
    if asked.network.trigger_embedding and not any(part_rate(own, "text_encoder") for own in optimizers):
        rates.append("trigger_embedding: text_encoder_lr 0 in every stage, not trained")
    idle = idle_options(asked, network.parameter_groups())
    return (*rates, *idle_notes(asked.network, network), *idle)


def check_fits(network: NetworkSettings, dtype: torch.dtype) -> None:
    """Refuse an alpha that the number format of the file would turn into infinity, which makes programs draw noise.

    Raises:
        ValueError: With the largest value of the format.
    """
    largest = torch.finfo(dtype).max
    for name, rank, alpha in (
        ("alpha", network.rank, network.alpha or network.rank),
        ("conv_alpha", *network.conv_size),
    ):
        written = alpha * (sqrt(rank) if network.rank_stabilized else 1.0)
        if written > largest:
            kind = str(dtype).removeprefix("torch.")
            by_rank = f" ({written:g} is written, alpha times the root of the rank)" if network.rank_stabilized else ""
            raise ValueError(
                f"{name} must be at most {largest:g} to be saved as {kind}, got {alpha:g}{by_rank}; lower it, or set "
                "save_dtype to bfloat16 or float32"
            )
