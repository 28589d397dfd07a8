"""A training set: subsets of images and their settings. Knows no pixels and no model.

Datasets are values: joining, balancing and splitting return new ones.
"""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, field, replace
from typing import Any

from ..rng import derived_seed
from .brackets import describe_brackets, has_brackets
from .buckets import BucketSettings
from .captions import CaptionSettings
from .images import ImageItem, hash_bytes
from .tags import TagEdits, edit_captions


@dataclass(frozen=True, kw_only=True, slots=True)
class Subset:
    """Images that share all settings, usually one concept."""

    items: tuple[ImageItem, ...]
    name: str = "images"
    """Name of the concept; shown in reports and written to the LoRA's metadata."""
    repeats: int = 1
    """Times each image is shown per epoch, at least 1."""
    is_regularization: bool = False
    """Images of the class in general, which keep the model from forgetting it."""
    loss_weight: float = 1.0
    """Multiplies the loss of these images; 0 or more."""
    captions: CaptionSettings = field(default_factory=CaptionSettings)
    buckets: BucketSettings = field(default_factory=BucketSettings)

    def __post_init__(self) -> None:
        if not self.items:
            raise ValueError(f"the dataset {self.name!r} must have at least one image, got none")
        if self.repeats < 1:
            raise ValueError(f"repeats must be at least 1, got {self.repeats}; leave the images out instead")
        if not (math.isfinite(self.loss_weight) and self.loss_weight >= 0):
            raise ValueError(f"loss_weight must be a number of 0 or more, got {self.loss_weight}")

    @property
    def num_samples(self) -> int:
        """Samples per epoch."""
        return len(self.items) * self.repeats


@dataclass(frozen=True, slots=True)
class Dataset:
    """Subsets trained together."""

    subsets: tuple[Subset, ...]
    notes: tuple[str, ...] = ()
    """Notes for the user on how the images were read; each shown once."""
    held_out: tuple[Subset, ...] = ()
    """Images marked for validation; they are never trained."""

    def __post_init__(self) -> None:
        if not self.subsets:
            raise ValueError("a dataset must have at least one subset, got none")

    @property
    def num_images(self) -> int:
        """Different pictures, regularization included."""
        return len(self.pictures())

    def fingerprint(self) -> str:
        """Hash of everything that affects training: pictures, captions, settings. Not paths, names or times."""
        return hash_bytes(json.dumps([_subset_content(subset) for subset in self.subsets]).encode())

    def pictures(self) -> set[str]:
        """Contents of the different pictures, regularization included."""
        return {item.content_hash for subset in self.subsets for item in subset.items}

    def with_role(self, is_regularization: bool, loss_weight: float) -> "Dataset":
        """The same images with another loss weight; all of them, or only marked ones, as regularization images."""
        return self.map(
            lambda s: replace(s, is_regularization=is_regularization or s.is_regularization, loss_weight=loss_weight)
        )

    def map(self, change: Callable[[Subset], Subset]) -> "Dataset":
        """The dataset with each subset changed."""
        return replace(self, subsets=tuple(map(change, self.subsets)), held_out=tuple(map(change, self.held_out)))

    def as_validation(self) -> "Dataset":
        """All images for validation, regardless of marks."""
        return replace(self, subsets=self.subsets + self.held_out, held_out=())


def combine(datasets: Sequence[Dataset]) -> Dataset:
    """One dataset with the subsets of all, in their order."""
    notes = dict.fromkeys(note for dataset in datasets for note in dataset.notes)
    return Dataset(
        tuple(subset for dataset in datasets for subset in dataset.subsets),
        tuple(notes),
        tuple(subset for dataset in datasets for subset in dataset.held_out),
    )


def union(datasets: Sequence[Dataset]) -> Dataset:
    """The subsets of all datasets without repeats; a single dataset is returned unchanged."""
    if len(datasets) == 1:
        return datasets[0]
    joined = combine(datasets)
    return replace(joined, subsets=tuple(dict.fromkeys(joined.subsets)), held_out=tuple(dict.fromkeys(joined.held_out)))


def balance(dataset: Dataset) -> Dataset:
    """Set repeats so that every concept is trained about equally often: round(largest count / own count).

    Regularization images keep theirs, since their number follows the training images anyway, and so do held-out ones.
    """
    largest = max((len(subset.items) for subset in dataset.subsets if not subset.is_regularization), default=1)

    def balanced(subset: Subset) -> Subset:
        if subset.is_regularization:
            return subset
        return replace(subset, repeats=math.floor(largest / len(subset.items) + 0.5))

    return replace(dataset, subsets=tuple(map(balanced, dataset.subsets)))


def with_captions(dataset: Dataset, settings: CaptionSettings) -> Dataset:
    """The dataset with these caption settings; regularization images never get the trigger word."""
    return dataset.map(
        lambda s: replace(s, captions=replace(settings, trigger="") if s.is_regularization else settings)
    )


def with_tag_edits(dataset: Dataset, edits: TagEdits, keep_tags_separator: str = "", separator: str = ",") -> Dataset:
    """The dataset with its captions edited, each subset by its own tag counts."""

    def edited(subset: Subset) -> Subset:
        lines = [line for item in subset.items for line in item.captions]
        new = iter(edit_captions(lines, edits, [keep_tags_separator], separator))
        return replace(
            subset,
            items=tuple(replace(item, captions=tuple(next(new) for _ in item.captions)) for item in subset.items),
        )

    return dataset.map(edited)


def with_buckets(dataset: Dataset, settings: BucketSettings, more_resolutions: Sequence[int] = ()) -> Dataset:
    """The dataset with these bucket settings; each image also appears at each further resolution."""
    versions = [settings, *(replace(settings, resolution=resolution) for resolution in more_resolutions)]
    subsets = (replace(subset, buckets=version) for version in versions for subset in dataset.subsets)
    held_out = (replace(subset, buckets=settings) for subset in dataset.held_out)
    return Dataset(tuple(subsets), dataset.notes, tuple(held_out))


def split(dataset: Dataset, share: float, seed: int) -> tuple[Dataset, Dataset]:
    """(images to train on, held-out images), with no picture in both.

    `share` of the distinct training pictures, 0..1 and at least one of them, are held out; which ones depends on the
    seed and the pictures alone. Held-out images appear once, without randomness. Regularization images are never
    held out, and are left out where they equal one that is.

    Raises:
        ValueError: The share is not between 0 and 1, or nothing would be left to train on.
    """
    if not 0 < share < 1:
        raise ValueError(f"the validation share must be between 0 and 1, got {share}")
    pictures = {item.content_hash for s in dataset.subsets if not s.is_regularization for item in s.items}
    ranked = sorted(pictures, key=lambda picture: derived_seed(seed, f"split {picture}"))
    held_out = set(ranked[: max(1, math.floor(share * len(ranked) + 0.5))])
    train = without(dataset, held_out)
    if train is None or not pictures - held_out:
        raise ValueError(f"a validation share of {share} leaves none of {len(pictures)} images to train on")
    validation = [
        _only(without_draws(subset), lambda item: item.content_hash in held_out)
        for subset in dataset.subsets
        if not subset.is_regularization
    ]
    return train, Dataset(tuple(subset for subset in validation if subset))


def without(dataset: Dataset, pictures: Set[str]) -> Dataset | None:
    """The dataset without these pictures, given by content hash; None if no training image is left."""
    subsets = [_only(subset, lambda item: item.content_hash not in pictures) for subset in dataset.subsets]
    left = tuple(subset for subset in subsets if subset)
    return replace(dataset, subsets=left) if left else None


def without_draws(subset: Subset) -> Subset:
    """The subset once per epoch without randomness: nothing shuffled, dropped, mirrored or cropped at random."""
    captions = replace(
        subset.captions, shuffle_tags=False, tag_dropout=0.0, caption_dropout=0.0,
        caption_dropout_every_n_epochs=0, tag_warmup_steps=0.0,
    )  # fmt: skip
    return replace(subset, repeats=1, captions=captions, buckets=replace(subset.buckets, flip=False, random_crop=False))


def marked_for_validation(datasets: Sequence[Dataset]) -> Dataset | None:
    """The images marked for validation, once each, or None if there are none."""
    subsets = dict.fromkeys(without_draws(subset) for dataset in datasets for subset in dataset.held_out)
    return Dataset(tuple(subsets)) if subsets else None


def _only(subset: Subset, is_wanted: Callable[[ImageItem], bool]) -> Subset | None:
    items = tuple(item for item in subset.items if is_wanted(item))
    return replace(subset, items=items) if items else None


def _subset_content(subset: Subset) -> list[Any]:
    items = sorted([item.content_hash, item.mask_hash, *item.captions] for item in subset.items)
    buckets = _changed(subset.buckets)
    buckets.pop("cache", None)  # where latents are kept does not change them
    return [items, subset.repeats, subset.is_regularization, subset.loss_weight, _caption_content(subset), buckets]


def _caption_content(subset: Subset) -> dict[str, Any]:
    """Caption settings as far as they affect training.

    Brackets were always weights before `caption_weights` existed, so the digest includes only the reading as text, and
    only for captions with brackets. So a run of an earlier version never matches one that reads captions differently.
    """
    changed = _changed(subset.captions)
    if not changed.pop("caption_weights", False) and any(map(has_brackets, _texts(subset))):
        changed["brackets"] = "text"
    return changed


def _texts(subset: Subset) -> list[str]:
    """Everything that can appear in a caption."""
    settings = subset.captions
    added = [settings.trigger, settings.prefix, settings.suffix, *(new for _, new in settings.replacements)]
    return [*(line for item in subset.items for line in item.captions), *added]


def bracket_notes(dataset: Dataset) -> list[str]:
    """How round brackets in the captions are read; a line for each way, none without brackets."""
    lines = [
        describe_brackets(
            (text for subset in dataset.subsets if subset.captions.caption_weights == is_on for text in _texts(subset)),
            is_on,
        )
        for is_on in (False, True)
    ]
    return [line for line in lines if line]


def _changed(settings: CaptionSettings | BucketSettings) -> dict[str, Any]:
    """Fields that differ from their defaults, so that a new field leaves old fingerprints as they are."""
    defaults = type(settings)()
    names = [f.name for f in dataclasses.fields(settings)]
    return {name: getattr(settings, name) for name in names if getattr(settings, name) != getattr(defaults, name)}
