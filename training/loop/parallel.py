"""Several processes train one run: each computes its share of every batch, and their gradients are summed.

The plan's batch is that of all processes together, and every draw is named by the sample's place in it. So the result
does not depend on the number of processes, except for the order of summation.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Protocol, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from ..data.batch import Batch
from ..networks.share import Share
from ..objective.objective import LossResult

T = TypeVar("T")


class RankLost(RuntimeError):
    """Another process of the run has ended or does not respond."""


class Ranks(Protocol):
    """The processes that train a run together."""

    rank: int
    """Index of this process; rank 0 saves, draws previews and decides."""
    size: int

    def add_up(self, tensor: Tensor) -> None:
        """Replace the tensor, in place, by its sum over all processes; bit-identical in each."""
        ...

    def from_first(self, make: Callable[[], T]) -> T:
        """Return in every process what rank 0 makes."""
        ...


class Alone:
    """A single process; exchanges nothing."""

    rank = 0
    size = 1

    def add_up(self, tensor: Tensor) -> None:
        """Do nothing: the tensor is the sum already."""

    def from_first(self, make: Callable[[], T]) -> T:
        """Make it here."""
        return make()


ALONE: Ranks = Alone()


class TorchRanks:
    """The processes of torch.distributed's default group, which must be initialized."""

    def __init__(self) -> None:
        self.rank = dist.get_rank()
        self.size = dist.get_world_size()

    def add_up(self, tensor: Tensor) -> None:
        """Sum over all processes. Raises RankLost if another process is gone."""
        try:
            if tensor.device.type != "cpu":
                # NCCL would wait for a process that is gone; the connections between CPUs break at once.
                dist.all_reduce(torch.zeros(1))
            dist.all_reduce(tensor)
        except RuntimeError as error:
            raise self._lost() from error

    def from_first(self, make: Callable[[], T]) -> T:
        """Send what rank 0 makes to all. Raises RankLost if another process is gone."""
        box: list[T | None] = [make() if self.rank == 0 else None]
        try:
            dist.broadcast_object_list(box, src=0)
        except RuntimeError as error:
            raise self._lost() from error
        return box[0]  # pyright: ignore[reportReturnType]

    def _lost(self) -> RankLost:
        return RankLost(
            f"one of the {self.size} processes that train this run ended or answers no more; its own output says why. "
            "What was saved is complete: run the same command again to continue."
        )


def check_batch_size(ranks: Ranks, batch_sizes: Iterable[int]) -> None:
    """Raises ValueError for a batch that leaves a process without a sample."""
    smallest = min(batch_sizes, default=ranks.size)
    if smallest < ranks.size:
        raise ValueError(
            f"batch_size must be at least the number of processes, {ranks.size}, got {smallest}: it is the batch of "
            "all of them together. Raise batch_size, or start fewer processes."
        )


def share_of(ranks: Ranks, num_samples: int) -> Share:
    """This process's samples of a batch; none if a bucket's last batch has fewer samples than there are ranks."""
    first, end = (place * num_samples // ranks.size for place in (ranks.rank, ranks.rank + 1))
    return Share(first=first, count=end - first, whole=num_samples)


def rows_of(batch: Batch, share: Share) -> Batch:
    """The rows of a batch that belong to a share."""
    if share.count == share.whole:
        return batch
    rows = slice(share.first, share.first + share.count)
    return replace(
        batch,
        latents_BCHW=batch.latents_BCHW[rows],
        captions=batch.captions[rows],
        sizes=batch.sizes[rows],
        mask_B1HW=None if batch.mask_B1HW is None else batch.mask_B1HW[rows],
        loss_weight_B=batch.loss_weight_B[rows],
        is_regularization_B=batch.is_regularization_B[rows],
        image_ids=batch.image_ids[rows],
    )


@dataclass(frozen=True, slots=True)
class Part:
    """What this process computed for a batch."""

    result: LossResult | None
    """Result for its share; None if the share is empty."""
    share: Share
    batch: Batch
    """The whole batch."""

    def with_losses(self, loss_B: Tensor, unweighted_B: Tensor) -> "Part":
        """The same, with losses read from the device."""
        assert self.result is not None
        return replace(self, result=replace(self.result, loss_B=loss_B, unweighted_B=unweighted_B))


def joined(ranks: Ranks, parts: Sequence[Part]) -> list[tuple[LossResult, Batch]]:
    """Losses of the whole batches, in every process; without gradients if there are several processes."""
    if ranks.size == 1:
        return [(part.result, part.batch) for part in parts if part.result is not None]
    figures = torch.cat([_figures(part) for part in parts])
    ranks.add_up(figures)
    ends = list(accumulate(part.share.whole for part in parts))
    return [(_result(figures[end - part.share.whole : end]), part.batch) for end, part in zip(ends, parts, strict=True)]


def _figures(part: Part) -> Tensor:
    """(B, 4), float64, on the CPU: loss, unweighted loss, timestep, 1 if kept; 0 for other processes' samples."""
    figures = torch.zeros(part.share.whole, 4, dtype=torch.float64)
    if part.result is not None:
        own = figures[part.share.first : part.share.first + part.share.count]
        for column, values in enumerate((part.result.loss_B, part.result.unweighted_B, part.result.timestep_B)):
            own[:, column] = values.detach().to("cpu", torch.float64)
        own[list(part.result.kept), 3] = 1.0
    return figures


def _result(figures: Tensor) -> LossResult:
    loss_B, unweighted_B, timestep_B, kept_B = (figures[:, column] for column in range(4))
    kept = frozenset(place for place, value in enumerate(to_list(kept_B)) if value)
    return LossResult(loss_B.float(), unweighted_B.float(), timestep_B.round().long(), kept)


def to_list(values: Tensor) -> list[float]:
    """A vector as a list of numbers."""
    return [float(value) for value in values.detach().cpu()]


def add_up_gradients(ranks: Ranks, parameters: Sequence[nn.Parameter]) -> None:
    """Sum every parameter's gradient over the processes; a parameter without a gradient anywhere keeps none."""
    if ranks.size == 1 or not parameters:
        return
    has_gradient = torch.tensor([float(p.grad is not None) for p in parameters], device=parameters[0].device)
    gradients = [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in parameters]
    flat = torch.cat([*(gradient.to(has_gradient.device) for gradient in gradients), has_gradient])
    ranks.add_up(flat)
    counts, begin = to_list(flat[-len(parameters) :]), 0
    for parameter, count in zip(parameters, counts, strict=True):
        total = flat[begin : begin + parameter.numel()]
        parameter.grad = total.view_as(parameter).to(parameter.device, copy=True) if count else None
        begin += parameter.numel()
