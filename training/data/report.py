"""A dataset described in words: images, sizes, tags, and warnings."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from math import prod

from ..base_model import ModelFamily
from .alike import near_duplicates
from .buckets import Size
from .dataset import Dataset, bracket_notes
from .findings import (
    CUT_OFF_TOO_MUCH,
    black_masks,
    cut_off,
    duplicates,
    empty_captions,
    enlarged,
    further_lines,
    inseparable_tags,
    masked_out,
    tag_images,
    unique_images,
)
from .prepare import place_images
from .prepared import Entry
from .traits import binding_traits

BLACK_MASK = "the mask is black all over, so nothing is trained"
FURTHER_LINES = "captions of several lines, of which the first alone is trained without use_wildcards"
MAX_LISTED = 8
MAX_LINES = 20
"""Of one kind."""
MAX_TAGS_LISTED = 40


def describe(dataset: Dataset, family: ModelFamily) -> str:
    """Report of a dataset for this kind of model: subsets, buckets, tags, warnings."""
    entries = place_images(dataset, family)
    sections = [
        _subset_section(dataset),
        _bucket_section(entries),
        _tag_section(unique_images(entries)),
        _section("Warnings", warnings(dataset, entries, family) or ["none"]),
    ]
    return "\n\n".join(sections)


def warnings(dataset: Dataset, entries: Sequence[Entry], family: ModelFamily) -> list[str]:
    """Warnings, one line each; empty if there are none."""
    images = unique_images(entries)
    found = list(dataset.notes)
    found += _some([f"same picture: {_names(names)}" for names in duplicates(images)], "groups of same pictures")
    found += _nearly_the_same(images)
    found += _if_any("much smaller than trained (enlarged more than 1.5 times)", enlarged(entries))
    found += [*_left_out(dataset, entries), *_made_smaller(dataset, entries, family)]
    found += _if_any(BLACK_MASK, masked_out(images))
    found += _if_any("empty caption", empty_captions(images))
    found += _if_any("alone in its bucket, so always a batch of one", _lonely(entries))
    found += [_inseparable(tags, count) for tags, count in inseparable_tags(images)[:MAX_LISTED]]
    found += [_binding(traits, name, count) for name, traits, count in binding_traits(images)]
    return found


def _nearly_the_same(images: Sequence[Entry]) -> list[str]:
    firsts = list({entry.item.content_hash: entry.item for entry in reversed(images)}.values())[::-1]
    pairs, count = near_duplicates(firsts)
    lines = [f"nearly the same picture: {firsts[a].name} and {firsts[b].name}" for a, b in pairs]
    return _some(lines, "pairs of nearly the same pictures", count)


def _some(lines: Sequence[str], what: str, count: int | None = None) -> list[str]:
    """The first lines, and how many more there are of `count`, or of the lines if that is None."""
    more = (len(lines) if count is None else count) - MAX_LINES
    return [*lines[:MAX_LINES], *[f"{more} more {what}"] * (more > 0)]


def further_lines_note(dataset: Dataset) -> list[str]:
    """A line about caption lines that are not trained, if there are any."""
    return _if_any(FURTHER_LINES, further_lines(dataset))


def dataset_notes(dataset: Dataset, family: ModelFamily) -> list[str]:
    """What of the images and captions is not trained, and what costs time in every step, a line each."""
    entries = place_images(dataset, family)
    lost = [*_left_out(dataset, entries), *_made_smaller(dataset, entries, family)]
    return [*lost, *_if_any(BLACK_MASK, black_masks(unique_images(entries))), *_cost_notes(dataset)]


def _left_out(dataset: Dataset, entries: Sequence[Entry]) -> list[str]:
    what = f"cut off by the bucket by more than {CUT_OFF_TOO_MUCH:.0%}"
    return [*_if_any(what, cut_off(entries)), *further_lines_note(dataset)]


def _made_smaller(dataset: Dataset, entries: Sequence[Entry], family: ModelFamily) -> list[str]:
    """Images that lose more than a tenth of their pixels to sd-scripts' rule, which applies without upscaling."""
    if all(subset.buckets.upscale or subset.buckets.nearest_bucket for subset in dataset.subsets):
        return []
    nearest = [replace(one, buckets=replace(one.buckets, nearest_bucket=True)) for one in dataset.subsets]
    others = place_images(replace(dataset, subsets=tuple(nearest)), family)
    pairs = [(entry, other.placement.bucket) for entry, other in zip(entries, others, strict=True)]
    names = [
        f"{entry.item.name} {_size(entry.placement.bucket)} for {_size(bucket)}"
        for entry, bucket in pairs
        if prod(bucket) > (1 + CUT_OFF_TOO_MUCH) * prod(entry.placement.bucket)
    ]
    return _if_any("trained smaller by sd-scripts' rule for upscale off than with nearest_bucket", names)


def traits_of(dataset: Dataset, family: ModelFamily) -> list[str]:
    """All traits that the warnings name, each once."""
    found = binding_traits(unique_images(place_images(dataset, family)))
    return list(dict.fromkeys(tag for _, traits, _ in found for tag in traits))


def _cost_notes(dataset: Dataset) -> list[str]:
    if not any(subset.buckets.random_crop for subset in dataset.subsets):
        return []
    return ["random_crop: each image is read and encoded in every step, so steps take longer and the VAE stays loaded"]


def _binding(traits: Sequence[str], subset: str, count: int) -> str:
    return (
        f"in nearly all of the {count} captions of {subset}: {_names(traits)}. They are learned with these words "
        "instead of the trigger; for a character, put them into prune (tags to remove) on Captions: "
        f"{', '.join(traits)}"
    )


def _inseparable(tags: Sequence[str], count: int) -> str:
    return (
        f"always together, in {count} images: {_names(tags)}. "
        "Prune what belongs to the trigger word, and add images that differ for the rest"
    )


def _lonely(entries: Sequence[Entry]) -> list[str]:
    buckets: defaultdict[Size, list[Entry]] = defaultdict(list)
    for entry in entries:
        buckets[entry.placement.bucket].append(entry)
    if len(buckets) == 1:
        return []
    return [
        f"{members[0].item.name} ({_size(bucket)})"
        for bucket, members in buckets.items()
        if len(members) == 1 and members[0].subset.repeats == 1
    ]


def _subset_section(dataset: Dataset) -> str:
    lines: list[str] = []
    for subset in dataset.subsets:
        line = f"{subset.name}: {len(subset.items)} images x {subset.repeats} = {subset.num_samples} per epoch"
        line += f", loss weight {subset.loss_weight:g}" if subset.loss_weight != 1 else ""
        line += f", trigger {subset.captions.trigger!r}" if subset.captions.trigger else ""
        lines.append(line + (", regularization" if subset.is_regularization else ""))
    lines += [f"{subset.name}: {len(subset.items)} images for validation, not trained" for subset in dataset.held_out]
    lines += bracket_notes(dataset)
    return _section(f"{dataset.num_images} images", lines)


def _bucket_section(entries: Sequence[Entry]) -> str:
    images: Counter[Size] = Counter(entry.placement.bucket for entry in entries)
    samples: Counter[Size] = Counter()
    for entry in entries:
        samples[entry.placement.bucket] += entry.subset.repeats
    lines = [
        f"{_size(bucket):>11}  {count:5} images  {samples[bucket]:6} per epoch" for bucket, count in images.items()
    ]
    return _section("Buckets (width x height)", sorted(lines))


def _tag_section(images: Sequence[Entry]) -> str:
    counts = {tag: len(places) for tag, places in tag_images(images).items()}
    lines = [f"{count:5}  {tag}" for tag, count in list(counts.items())[:MAX_TAGS_LISTED]]
    more = len(counts) - len(lines)
    return _section(f"Tags ({len(counts)})", lines + [f"       and {more} more"] * (more > 0))


def _section(title: str, lines: Sequence[str]) -> str:
    return "\n".join([title, *(f"  {line}" for line in lines)])


def _if_any(what: str, names: Sequence[str]) -> list[str]:
    unique = list(dict.fromkeys(names))
    return [f"{what}: {len(unique)} ({_names(unique)})"] if unique else []


def _names(names: Sequence[str]) -> str:
    more = len(names) - MAX_LISTED
    return ", ".join(names[:MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _size(bucket: Size) -> str:
    return f"{bucket[0]}x{bucket[1]}"
