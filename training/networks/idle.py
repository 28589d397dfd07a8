"""Names options that were set but have no effect: the algorithm does not use them, or not in every module."""

from dataclasses import fields

from .algorithm import ALL_SIZES
from .algorithms import find_algorithm
from .network import Network
from .settings import NetworkSettings


def idle_notes(settings: NetworkSettings, network: Network) -> list[str]:
    """A line for each setting that was changed but is used by no module, or not by all; usually none."""
    algorithm = find_algorithm(settings.algorithm)
    changed = [own.name for own in fields(settings) if getattr(settings, own.name) != getattr(_DEFAULTS, own.name)]
    unread = [name for name in changed if name in ALL_SIZES and name not in algorithm.sizes]
    notes = [f"{', '.join(unread)}: not read by {algorithm.name}, no effect"] if unread else []
    total = len(network.adapters)
    for name in changed:
        idle = sum(name in adapter.unread for adapter in network.adapters)
        if idle:
            where = "no effect" if idle == total else f"no effect in {idle} of {total} modules"
            notes.append(f"{name}: {where}, whose factors are full matrices without a rank")
    return notes


_DEFAULTS = NetworkSettings()
