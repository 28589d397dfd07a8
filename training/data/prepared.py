"""A dataset prepared for a model: placed in buckets, encoded, returned batch by batch.

Equal arguments give equal batches, whatever was requested before.

Shapes: B samples, C latent channels, H W latent rows and columns.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..rng import generator
from .batch import Batch, BatchPlan, SampleRef
from .buckets import Size
from .captions import CaptionMoment, possible_captions, process_caption, why_captions_vary
from .dataset import Subset, without_draws
from .images import ImageItem
from .latents import Encoded, Keep, LatentSource, Progress, View
from .order import OrderEntry, count_batches, epoch_batches
from .placement import Placement, crop_anywhere


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """An image of a subset in its bucket."""

    item: ImageItem
    subset: Subset
    placement: Placement
    """Cropped at the center, not mirrored."""
    index: int
    """Index in the prepared set; part of its random draws' names."""
    image_id: int
    """Index of the distinct picture; the same for all entries that show it."""

    def views(self) -> list[View]:
        """All views whose latents are kept: none for random crops, two if half of the appearances are mirrored."""
        placements = [self.placement, self.placement.flipped()] if self.subset.buckets.flip else [self.placement]
        return [self.view(placement) for placement in placements if self._keep != "no"]

    def view(self, placement: Placement) -> View:
        """The image at a placement."""
        return View(self.item, placement, self.subset.buckets.use_alpha_masks, self._keep)

    @property
    def _keep(self) -> Keep:
        return "no" if self.subset.buckets.random_crop else self.subset.buckets.cache


class PreparedDataset:
    """The data that the trainer reads."""

    def __init__(self, entries: Sequence[Entry], source: LatentSource) -> None:
        """The position of an entry names its random draws; `source` provides the latents."""
        self._entries = tuple(entries)
        self._source = source
        self._order = order_entries(self._entries)
        self._last_epoch: tuple[tuple[int, int, int], list[BatchPlan]] | None = None
        names = {entry.image_id: entry.item.name for entry in reversed(self._entries)}
        self.image_names: tuple[str, ...] = tuple(names[image_id] for image_id in sorted(names))
        """Name of each distinct image, by its index in `Batch.image_ids`."""

    def encode(self, on_progress: Progress) -> None:
        """Encode everything that is cached; otherwise `load` encodes sample by sample.

        Raises:
            ValueError: Pictures cannot be read (all are named), or the VAE gives NaN.
        """
        self._source.fill((view for entry in self._entries for view in entry.views()), on_progress)

    def still(self, max_images: int | None = None) -> "PreparedDataset":
        """The training images once each without randomness, for measuring; at most `max_images`, spread over the set.

        Images keep their ids, and cached latents are reused.
        """
        entries = [entry for entry in self._entries if not entry.subset.is_regularization]
        ids = sorted({entry.image_id for entry in entries})
        if max_images is not None and max_images < len(ids):
            ids = [ids[place * len(ids) // max_images] for place in range(max_images)]
        measured_ids = set(ids)
        still = [replace(e, subset=without_draws(e.subset)) for e in entries if e.image_id in measured_ids]
        measured = PreparedDataset(still, self._source)
        measured.image_names = self.image_names
        return measured

    @property
    def num_images(self) -> int:
        """Distinct pictures, regularization included."""
        return len(self.image_names)

    @property
    def num_samples(self) -> int:
        """Samples of training images per epoch; regularization images, if any, add as many."""
        return sum(entry.repeats for entry in self._order if not entry.is_regularization)

    def bucket_counts(self) -> dict[Size, int]:
        """Images per bucket (width, height), repeats counted."""
        counts: Counter[Size] = Counter()
        for entry in self._order:
            counts[entry.bucket] += entry.repeats
        return dict(sorted(counts.items()))

    def num_batches(self, batch_size: int) -> int:
        """Batches per epoch, the same in every epoch."""
        _check_batch_size(batch_size)
        return count_batches(self._order, batch_size)

    def epoch(self, batch_size: int, seed: int, epoch: int) -> list[BatchPlan]:
        """The batches of an epoch (from 0) in order; every image appears as often as its repeats say."""
        _check_batch_size(batch_size)
        key = (batch_size, seed, epoch)
        if self._last_epoch is None or self._last_epoch[0] != key:
            self._last_epoch = (key, epoch_batches(self._order, *key))
        return self._last_epoch[1]

    def load(self, plan: BatchPlan, seed: int, epoch: int, step: int, total_steps: int) -> Batch:
        """The batch of a plan of this epoch.

        `step` counts optimizer steps; a tag warmup given as a share refers to `total_steps`.
        """
        entries = [self._entries[ref.entry] for ref in plan.samples]
        placements = [self._placement(ref, seed, epoch) for ref in plan.samples]
        encoded = self._source.get([e.view(p) for e, p in zip(entries, placements, strict=True)])
        captions = [
            process_caption(
                e.item.captions,
                e.subset.captions,
                CaptionMoment(
                    seed=seed, epoch=epoch, image=e.index, repeat=ref.repeat, step=step, total_steps=total_steps
                ),
            )
            for e, ref in zip(entries, plan.samples, strict=True)
        ]
        return Batch(
            latents_BCHW=torch.stack([one.latents_CHW for one in encoded]),
            captions=tuple(captions),
            sizes=tuple(p.image_size(e.item) for e, p in zip(entries, placements, strict=True)),
            mask_B1HW=_stack_masks(encoded),
            loss_weight_B=torch.tensor([e.subset.loss_weight for e in entries], dtype=torch.float32),
            is_regularization_B=torch.tensor([e.subset.is_regularization for e in entries]),
            image_ids=tuple(e.image_id for e in entries),
        )

    def distinct_captions(self) -> tuple[str, ...] | None:
        """All captions that training can use, including dropped (empty) ones; None if there are too many to list."""
        distinct: dict[str, None] = {}
        for entry in self._entries:
            possible = possible_captions(entry.item.captions, entry.subset.captions)
            if possible is None:
                return None
            distinct.update(dict.fromkeys(possible))
        return tuple(distinct)

    def why_captions_vary(self) -> str:
        """The setting that keeps captions from being encoded in advance, such as "shuffle_tags"; empty if none does."""
        reasons = (why_captions_vary(entry.item.captions, entry.subset.captions) for entry in self._entries)
        return next((reason for reason in reasons if reason), "")

    def _placement(self, ref: SampleRef, seed: int, epoch: int) -> Placement:
        entry = self._entries[ref.entry]
        placement = entry.placement
        if entry.subset.buckets.random_crop:
            placement = crop_anywhere(placement, generator(seed, "crop", epoch, *ref))
        if entry.subset.buckets.flip and float(torch.rand(1, generator=generator(seed, "flip", epoch, *ref))) < 0.5:
            placement = placement.flipped()
        return placement


def order_entries(entries: Sequence[Entry]) -> list[OrderEntry]:
    """What determines the order and the number of batches."""
    return [OrderEntry(e.placement.bucket, e.subset.repeats, e.subset.is_regularization) for e in entries]


def _stack_masks(encoded: Sequence[Encoded]) -> Tensor | None:
    if all(one.mask_1HW is None for one in encoded):
        return None
    whole = torch.ones(1, *encoded[0].latents_CHW.shape[-2:])
    return torch.stack([whole if one.mask_1HW is None else one.mask_1HW for one in encoded])


def _check_batch_size(batch_size: int) -> None:
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1, got {batch_size}")
