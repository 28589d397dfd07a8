"""The order of an epoch: every image repeated as its subset says, in batches of one bucket.

A pure function of the entries, the batch size, the seed and the epoch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ..rng import generator
from .batch import BatchPlan, SampleRef
from .buckets import Size


@dataclass(frozen=True, slots=True)
class OrderEntry:
    """What the order depends on for one image."""

    bucket: Size
    repeats: int
    is_regularization: bool


def epoch_batches(entries: Sequence[OrderEntry], batch_size: int, seed: int, epoch: int) -> list[BatchPlan]:
    """Batches of an epoch, shuffled; only the last of each bucket may be smaller."""
    refs = train_refs(entries)
    refs += regularization_refs(entries, len(refs), seed, epoch)
    order = torch.randperm(len(refs), generator=generator(seed, "sample order", epoch))
    by_bucket: dict[Size, list[SampleRef]] = {bucket: [] for bucket in sorted({e.bucket for e in entries})}
    for index in order:
        ref = refs[int(index)]
        by_bucket[entries[ref.entry].bucket].append(ref)
    batches = [
        BatchPlan(tuple(bucket[start : start + batch_size]))
        for bucket in by_bucket.values()
        for start in range(0, len(bucket), batch_size)
    ]
    order = torch.randperm(len(batches), generator=generator(seed, "batch order", epoch))
    return [batches[int(index)] for index in order]


def count_batches(entries: Sequence[OrderEntry], batch_size: int) -> int:
    """Batches per epoch, the same in every epoch."""
    counts = regularization_quotas(entries, len(train_refs(entries)))
    for entry in entries:
        if not entry.is_regularization:
            counts[entry.bucket] = counts.get(entry.bucket, 0) + entry.repeats
    return sum(-(-count // batch_size) for count in counts.values())


def train_refs(entries: Sequence[OrderEntry]) -> list[SampleRef]:
    """Every appearance of every image that is not for regularization."""
    return [
        SampleRef(index, repeat)
        for index, entry in enumerate(entries)
        if not entry.is_regularization
        for repeat in range(entry.repeats)
    ]


def regularization_quotas(entries: Sequence[OrderEntry], num_train: int) -> dict[Size, int]:
    """Regularization samples per bucket and epoch, `num_train` in total, in proportion to bucket sizes."""
    sizes: dict[Size, int] = {}
    for entry in entries:
        if entry.is_regularization:
            sizes[entry.bucket] = sizes.get(entry.bucket, 0) + entry.repeats
    total = sum(sizes.values())
    quotas = {bucket: num_train * size // total for bucket, size in sizes.items()}
    # rounding leaves samples over, which go to the largest remainders
    by_remainder = sorted(sizes, key=lambda bucket: (-(num_train * sizes[bucket] % total), bucket))
    for bucket in by_remainder[: num_train - sum(quotas.values())]:
        quotas[bucket] += 1
    return quotas


def regularization_refs(entries: Sequence[OrderEntry], num_train: int, seed: int, epoch: int) -> list[SampleRef]:
    """As many regularization samples as training samples; epoch by epoch the images of a bucket take turns."""
    refs: list[SampleRef] = []
    for bucket, quota in sorted(regularization_quotas(entries, num_train).items()):
        pool = [
            SampleRef(index, repeat)
            for index, entry in enumerate(entries)
            if entry.is_regularization and entry.bucket == bucket
            for repeat in range(entry.repeats)
        ]
        turns = torch.randperm(len(pool), generator=generator(seed, "regularization order", *bucket))
        for position in range(epoch * quota, (epoch + 1) * quota):
            round_, place = divmod(position, len(pool))
            entry, repeat = pool[int(turns[place])]
            refs.append(SampleRef(entry, repeat + round_ * entries[entry].repeats))
    return refs
