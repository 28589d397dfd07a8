"""From a dataset to what the trainer reads: buckets assigned, images encoded once."""

from collections.abc import Iterator
from pathlib import Path

from ..base_model import ModelFamily
from .buckets import BucketGrid, BucketSettings, bucket_grid
from .dataset import Dataset, Subset
from .images import ImageItem
from .latents import EncodeImages, LatentSource, Progress
from .placement import place
from .prepared import Entry, PreparedDataset


def prepare(
    dataset: Dataset,
    encode_images: EncodeImages,
    family: ModelFamily,
    encoder_id: str = "",
    cache_dir: Path | None = None,
    on_progress: Progress | None = None,
) -> PreparedDataset:
    """Place the dataset in buckets and encode it.

    `encoder_id` identifies the VAE by its content; with it, `cache_dir` keeps latents between runs for subsets whose
    cache is "disk". During training `encode_images` is only used for images that are cropped at random.

    Raises:
        ValueError: There are only regularization images, pictures cannot be read (all are named), or the VAE gives NaN.
    """
    prepared = place_dataset(dataset, encode_images, family, encoder_id, cache_dir)
    prepared.encode(on_progress or _ignore)
    return prepared


def place_dataset(
    dataset: Dataset,
    encode_images: EncodeImages,
    family: ModelFamily,
    encoder_id: str = "",
    cache_dir: Path | None = None,
) -> PreparedDataset:
    """Place the dataset in buckets without reading any picture; `prepare` without the encoding.

    Raises:
        ValueError: There are only regularization images.
    """
    if all(subset.is_regularization for subset in dataset.subsets):
        raise ValueError(
            "the dataset must have training images, got regularization images only; add a Load Dataset without "
            "is_regularization"
        )
    entries = place_images(dataset, family)
    source = LatentSource(encode_images, encoder_id, cache_dir)
    return PreparedDataset(entries, source)


def place_images(dataset: Dataset, family: ModelFamily) -> list[Entry]:
    """Every image of every subset in its bucket.

    Within a subset, images are ordered by content, so that renaming files changes nothing.
    """
    image_ids: dict[str, int] = {}
    entries: list[Entry] = []
    for subset, grid in _with_grids(dataset, family):
        for item in sorted(subset.items, key=lambda item: (item.content_hash, item.mask_hash, item.captions)):
            image_id = image_ids.setdefault(item.content_hash, len(image_ids))
            entry = Entry(item=item, subset=subset, placement=place(item, grid), index=len(entries), image_id=image_id)
            entries.append(entry)
    return entries


def grids_of(dataset: Dataset, family: ModelFamily) -> dict[BucketSettings, BucketGrid]:
    """The buckets of a dataset, by the bucket settings of its subsets, in their order."""
    return {subset.buckets: grid for subset, grid in _with_grids(dataset, family)}


def _with_grids(dataset: Dataset, family: ModelFamily) -> Iterator[tuple[Subset, BucketGrid]]:
    # Subsets with the same settings share one grid, even if it is derived from the images' sizes.
    items: dict[BucketSettings, list[ImageItem]] = {}
    for subset in dataset.subsets:
        items.setdefault(subset.buckets, []).extend(subset.items)
    grids = {settings: bucket_grid(settings, members, family) for settings, members in items.items()}
    return ((subset, grids[subset.buckets]) for subset in dataset.subsets)


def _ignore(done: int, total: int) -> None:
    """Ignore progress."""
