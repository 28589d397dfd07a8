"""Turns facts about a dataset into `ss_` entries of a LoRA file, under sd-scripts' names."""

import json
import math
from collections import Counter
from collections.abc import Sequence

from .facts import DatasetFacts, SubsetFacts, TrainingFacts


def dataset_entries(dataset: DatasetFacts, training: TrainingFacts | None) -> dict[str, str]:
    """Counts, sizes, tags and folders; `training` has the batch size."""
    trained = [subset for subset in dataset.subsets if not subset.is_regularization]
    regular = [subset for subset in dataset.subsets if subset.is_regularization]
    sizes = (dataset.resolution, *dataset.more_resolutions)
    values: dict[str, object] = {
        "num_train_images": _count(trained),
        "num_reg_images": _count(regular),
        "num_validation_images": dataset.num_validation_images,
        "resolution": "({}, {})".format(*dataset.resolution),
        "enable_bucket": True,
        "bucket_no_upscale": not dataset.upscale,
        "min_bucket_reso": dataset.min_bucket_size,
        "max_bucket_reso": dataset.max_bucket_size,
        "bucket_info": as_json(_bucket_info(dataset)),
        "tag_frequency": as_json(_tag_frequency(dataset.subsets)),
        "dataset_dirs": as_json(_folders(trained)),
        "reg_dataset_dirs": as_json(_folders(regular)),
        "shuffle_caption": any(subset.shuffle_tags for subset in trained),
        "keep_tokens": max((subset.keep_tags for subset in trained), default=0),
        "flip_aug": any(subset.flip for subset in trained),
        "random_crop": any(subset.random_crop for subset in trained),
        "color_aug": False,
        "datasets": as_json([_dataset_entry(dataset, training, size) for size in sizes]),
        "caption_dropout_rate": max((subset.caption_dropout for subset in trained), default=0.0),
        "caption_dropout_every_n_epochs": max((s.caption_dropout_every_n_epochs for s in trained), default=0),
        "caption_tag_dropout_rate": max((subset.tag_dropout for subset in trained), default=0.0),
        "cache_latents": not any(subset.random_crop for subset in dataset.subsets),
    }
    return {f"ss_{key}": str(value) for key, value in values.items()}


def _dataset_entry(
    dataset: DatasetFacts, training: TrainingFacts | None, resolution: tuple[int, int]
) -> dict[str, object]:
    return {
        "is_dreambooth": True,
        "batch_size_per_device": None if training is None else math.ceil(training.batch_size / training.num_devices),
        "num_train_images": _count([subset for subset in dataset.subsets if not subset.is_regularization]),
        "num_reg_images": _count([subset for subset in dataset.subsets if subset.is_regularization]),
        "resolution": list(resolution),
        "enable_bucket": True,
        "min_bucket_reso": dataset.min_bucket_size,
        "max_bucket_reso": dataset.max_bucket_size,
        "subsets": [_subset_entry(subset) for subset in dataset.subsets],
    }


def _subset_entry(subset: SubsetFacts) -> dict[str, object]:
    return {
        "img_count": subset.num_images,
        "num_repeats": subset.repeats,
        "color_aug": False,
        "flip_aug": subset.flip,
        "random_crop": subset.random_crop,
        "shuffle_caption": subset.shuffle_tags,
        "keep_tokens": subset.keep_tags,
        "keep_tokens_separator": subset.keep_tags_separator or None,
        "secondary_separator": subset.secondary_separator or None,
        "enable_wildcard": subset.use_wildcards,
        "caption_prefix": subset.prefix or None,
        "caption_suffix": subset.suffix or None,
        "image_dir": subset.name,
        "class_tokens": subset.class_tokens,
        "is_reg": subset.is_regularization,
    }


def _bucket_info(dataset: DatasetFacts) -> dict[str, object]:
    buckets = {str(i): {"resolution": list(size), "count": n} for i, (size, n) in enumerate(dataset.buckets.items())}
    return {"buckets": buckets}


def _tag_frequency(subsets: Sequence[SubsetFacts]) -> dict[str, dict[str, int]]:
    totals: dict[str, Counter[str]] = {}
    for name, subset in _by_name(subsets).items():
        lowered = totals.setdefault(name, Counter())
        for tag, count in subset.tag_frequency.items():
            lowered[tag.lower()] += count
    return {name: dict(counts.most_common()) for name, counts in totals.items()}


def _by_name(subsets: Sequence[SubsetFacts]) -> dict[str, SubsetFacts]:
    """Folders of one name in different places get a number, so that none stands for the other."""
    named: dict[str, SubsetFacts] = {}
    for subset in subsets:
        name, number = subset.name, 2
        while name in named:
            name, number = f"{subset.name} ({number})", number + 1
        named[name] = subset
    return named


def _folders(subsets: Sequence[SubsetFacts]) -> dict[str, dict[str, int]]:
    return {name: {"n_repeats": one.repeats, "img_count": one.num_images} for name, one in _by_name(subsets).items()}


def _count(subsets: list[SubsetFacts]) -> int:
    return sum(subset.num_images * subset.repeats for subset in subsets)


def as_json(value: object) -> str:
    """JSON with letters of every language as they are."""
    return json.dumps(value, ensure_ascii=False)
