"""What to check in a dataset before training: duplicates, tiny images, tags that cannot be told apart."""

from collections import defaultdict
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from torch import Tensor

from .captions import CaptionMoment, CaptionSettings, process_caption
from .dataset import Dataset
from .folder import natural_key
from .images import ImageItem, open_mask, read_rgb_and_mask
from .placement import cut_share
from .prepared import Entry
from .tags import normal, split_tags

ENLARGED_TOO_MUCH = 1.5
CUT_OFF_TOO_MUCH = 0.1


def caption_as_trained(entry: Entry) -> str:
    """The caption of an image in the first epoch with seed 0, without caption dropout."""
    captions, settings = entry.item.captions, entry.subset.captions
    moments = (CaptionMoment(seed=0, epoch=0, image=entry.index, repeat=repeat) for repeat in range(8))
    return next((text for text in (process_caption(captions, settings, moment) for moment in moments) if text), "")


def unique_images(entries: Sequence[Entry]) -> list[Entry]:
    """Each image once, even if it is trained at several resolutions, by concept and name."""
    # images from the graph all have the same name, so the content tells them apart
    unique = {
        (entry.subset.name, natural_key(entry.item.name), entry.item.content_hash): entry for entry in reversed(entries)
    }
    return [unique[key] for key in sorted(unique)]


def duplicates(entries: Sequence[Entry]) -> list[list[str]]:
    """Names of images with equal content, in groups."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for entry in entries:
        groups[entry.item.content_hash].append(entry.item.name)
    return [names for names in groups.values() if len(names) > 1]


def enlarged(entries: Sequence[Entry]) -> list[str]:
    """Names of images that their bucket enlarges more than 1.5 times."""
    return [e.item.name for e in entries if e.placement.scaled[0] > ENLARGED_TOO_MUCH * e.item.width]


def masked_out(entries: Sequence[Entry]) -> list[str]:
    """Names of images whose mask excludes everything, by transparency too, for which each picture is read."""
    alpha = [e for e in entries if e.item.mask is None and e.subset.buckets.use_alpha_masks]
    masks = ((e.item.name, read_rgb_and_mask(e.item, True)[1]) for e in alpha)
    return [*black_masks(entries), *(name for name, mask in masks if mask is not None and mask.getbbox() is None)]


def black_masks(entries: Sequence[Entry]) -> list[str]:
    """Names of images whose mask, a file or of the graph, is black all over."""
    return [e.item.name for e in entries if e.item.mask is not None and _is_black(e.item.mask)]


def _is_black(mask: Path | Tensor) -> bool:
    if isinstance(mask, Tensor):
        return not bool(mask.any())
    try:
        stat = mask.stat()
        return _is_black_file(mask, stat.st_size, stat.st_mtime_ns)
    except OSError:  # what cannot be read is said where it is encoded
        return False


@lru_cache(maxsize=20_000)
def _is_black_file(path: Path, size: int, mtime_ns: int) -> bool:
    return open_mask(path).getbbox() is None


def empty_captions(entries: Sequence[Entry]) -> list[str]:
    """Names of images trained without any text."""
    return [entry.item.name for entry in entries if not caption_as_trained(entry)]


def tag_images(entries: Sequence[Entry]) -> dict[str, frozenset[int]]:
    """Indices of the images with each tag, most frequent tags first; captions before any randomness."""
    places: defaultdict[str, set[int]] = defaultdict(set)
    for place, entry in enumerate(entries):
        for tag in trained_tags(entry.item, entry.subset.captions):
            places[normal(tag)].add(place)
    ordered = sorted(places.items(), key=lambda found: -len(found[1]))
    return {tag: frozenset(images) for tag, images in ordered}


def trained_tags(item: ImageItem, settings: CaptionSettings) -> list[str]:
    """Tags of an image's first caption as trained: trigger first, markup resolved, nothing random."""
    text = " ".join(part for part in (settings.prefix, item.captions[0], settings.suffix) if part)
    for mark in (settings.keep_tags_separator, settings.secondary_separator):
        text = text.replace(mark, settings.separator) if mark else text
    for old, new in settings.replacements:
        text = text.replace(old, new)
    tags = (tag for tag in (settings.trigger.strip(), *split_tags(text, settings.separator)) if tag)
    return list({normal(tag): tag for tag in tags}.values())


def inseparable_tags(entries: Sequence[Entry]) -> list[tuple[list[str], int]]:
    """(tags, number of images) for groups of tags that always occur together, in two images or more.

    The dataset cannot tell such tags apart: each learns part of what they show together.
    """
    groups: defaultdict[frozenset[int], list[str]] = defaultdict(list)
    for tag, images in tag_images(entries).items():
        groups[images].append(tag)
    return [(tags, len(images)) for images, tags in groups.items() if len(tags) > 1 and len(images) > 1]


def cut_off(entries: Sequence[Entry]) -> list[str]:
    """Names of images that lose more than a tenth of their area to the bucket's crop, with the share."""
    shares = {entry.item.name: cut_share(entry.placement) for entry in entries}
    return [f"{name} ({share:.0%})" for name, share in shares.items() if share > CUT_OFF_TOO_MUCH]


def further_lines(dataset: Dataset) -> list[str]:
    """Names of images whose captions have several lines, if only the first is trained."""
    return [
        item.name
        for subset in dataset.subsets
        if not subset.captions.use_wildcards
        for item in subset.items
        if len(item.captions) > 1
    ]
