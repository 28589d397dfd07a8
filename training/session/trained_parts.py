"""Which parts of a network are trained. A part with learning rate 0 in every stage is left out of the run's network."""

from dataclasses import replace

from ..base_model import PartName
from ..loop.stages import stage_optimizers
from ..networks.idle import idle_notes
from ..networks.network import Network
from ..optimizers.rates import part_rate
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
    """What has no effect in the requested network, a line each."""
    frozen = [part for part in asked.network.parts if part not in trained_parts(asked)]
    rates = [f"{', '.join(frozen)}: learning rate 0 in every stage, not trained"] if frozen else []
    return (*rates, *idle_notes(asked.network, network))
