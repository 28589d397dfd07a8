"""Limits the norm of every module's change after a step (sd-scripts' max norm)."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .adapter import Adapter


@dataclass(frozen=True, slots=True)
class NormReport:
    """Norms of the changes after scaling."""

    keys_scaled: int
    mean_norm: float
    max_norm: float


@torch.no_grad()
def scale_weight_norms(
    adapters: Sequence[Adapter], max_norm: float, trained: Collection[nn.Parameter] | None = None
) -> NormReport:
    """Scale down every module whose change has a Frobenius norm above `max_norm`.

    Modules without any trained parameter stay as they are; `trained` None = all are trained.
    """
    chosen = None if trained is None else {id(parameter) for parameter in trained}
    adapters = [adapter for adapter in adapters if chosen is None or _has_any(adapter, chosen)]
    if not adapters:
        return NormReport(0, 0.0, 0.0)
    norms = [float(norm) for norm in _together([adapter.delta_norm() for adapter in adapters]).cpu()]
    keys_scaled = 0
    for index, (adapter, norm) in enumerate(zip(adapters, norms, strict=True)):
        if norm > max_norm:
            adapter.shrink(max_norm / norm)
            norms[index] = max_norm
            keys_scaled += 1
    return NormReport(keys_scaled, sum(norms) / len(norms), max(norms))


def _has_any(adapter: nn.Module, chosen: Collection[int]) -> bool:
    return any(id(parameter) in chosen for parameter in adapter.parameters())


def _together(norms: list[Tensor]) -> Tensor:
    """Stack scalars into one tensor; parts may be on several devices."""
    return torch.stack([norm.to(norms[0].device) for norm in norms])
