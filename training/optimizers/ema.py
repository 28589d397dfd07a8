"""Exponential moving average of a network's parameters, often better than the last ones.

Karras et al. 2024, https://arxiv.org/abs/2312.02696.
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..devices import by_device

NamedParameters = Iterable[tuple[str, nn.Parameter]]


class Ema:
    """Average of named parameters, in their precision and on their device."""

    def __init__(self, named_parameters: NamedParameters) -> None:
        """Start from the current parameters."""
        self._averages = {name: parameter.detach().clone() for name, parameter in named_parameters}
        self._applied: Mapping[str, Tensor] = {}
        """Parameters that currently hold the average, while the average's storage holds their values."""

    @torch.no_grad()
    def update(self, named_parameters: NamedParameters, step: int, decay: float) -> None:
        """Move the average toward the parameters after an optimizer step, counted from 0.

        With a decay of 0 it becomes the parameters, bit for bit.
        """
        share = 1.0 - decay_at(step, decay)
        own = {name: parameter.detach() for name, parameter in named_parameters}
        averages, values = (by_device(tensors[name] for name in own) for tensors in (self._averages, own))
        for device, together in averages.items():
            torch._foreach_lerp_(together, values[device], share)  # pyright: ignore

    @contextmanager
    def applied(self, named_parameters: NamedParameters) -> Generator[None, None, None]:
        """Context in which the parameters hold the average; afterwards they have their own values, bit for bit."""
        parameters = dict(named_parameters)
        self._swap(parameters)
        self._applied = parameters
        try:
            yield
        finally:
            self._applied = {}
            self._swap(parameters)

    def _swap(self, parameters: Mapping[str, nn.Parameter]) -> None:
        """Exchange their storages: a full GPU could end copies in the middle, which leaves neither."""
        for name, parameter in parameters.items():
            self._averages[name], parameter.data = parameter.data, self._averages[name]

    def state(self) -> dict[str, Tensor]:
        """Averages by parameter name, copied to the CPU, for saving."""
        averages = self._applied or self._averages
        return {name: average.detach().to("cpu", copy=True) for name, average in averages.items()}

    def load_state(self, averages: Mapping[str, Tensor]) -> None:
        """Load saved averages.

        Raises:
            ValueError: Their names do not match this network's parameters.
        """
        if set(averages) != set(self._averages):
            missing = sorted(set(self._averages) ^ set(averages))[:3]
            raise ValueError(f"saved averages do not belong to this network: names that differ begin with {missing}")
        for name, average in averages.items():
            self._averages[name].copy_(average)


def decay_at(step: int, decay: float) -> float:
    """Decay of the update after a step, from 0: rises from 0.1 to the full decay, so that the start is forgotten."""
    return min(decay, (1 + step) / (10 + step))
