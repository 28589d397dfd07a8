"""Exports a dataset as sd-scripts' dataset config, which names folders; lists what only exists in the graph."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from ..data.buckets import BucketSettings
from ..data.captions import CaptionSettings
from ..data.dataset import Dataset, Subset
from ..data.folder import image_extensions
from ..data.images import ImageItem
from ..data.sidecars import read_captions
from .dataset_tables import BUCKET_OPTIONS, CAPTION_OPTIONS, COMMAND_CAPTION_OPTIONS

CAPTION_EXTENSION = ".txt"
"""Where no caption file tells another."""
NameFolder = Callable[[Path], str]
"""How a folder is written."""


def export_datasets(dataset: Dataset, name_folder: NameFolder, notes: list[str]) -> str:
    """The config as TOML: a dataset for each kind of buckets, a subset for each folder. Adds to `notes`."""
    by_buckets: dict[BucketSettings, list[Subset]] = {}
    for subset in dataset.subsets:
        by_buckets.setdefault(replace(subset.buckets, cache="disk"), []).append(subset)
    lines: list[str] = []
    for buckets, subsets in by_buckets.items():
        folders = [text for subset in subsets for text in _folders(subset, name_folder, notes)]
        if folders:
            lines += ["[[datasets]]", *_bucket_lines(buckets, notes), *folders, ""]
    notes += [f"{name}: no option of a dataset config; add --{name} to the command line" for name in _command(dataset)]
    if dataset.held_out:
        notes.append("images marked for validation: sd-scripts would train them; move them to another folder")
    return "\n".join(lines)


def _command(dataset: Dataset) -> Iterator[str]:
    """Options of the command line that the dataset needs; each holds for all of its images."""
    subsets = dataset.subsets
    for name, field, _ in COMMAND_CAPTION_OPTIONS:
        if any(getattr(subset.captions, field) for subset in subsets):
            yield name
    if any(subset.buckets.use_alpha_masks or any(item.mask is not None for item in subset.items) for subset in subsets):
        yield "masked_loss"
    if any(subset.buckets.cache == "ram" for subset in subsets):
        yield "cache_latents"


def _folders(subset: Subset, name_folder: NameFolder, notes: list[str]) -> Iterator[str]:
    by_folder: dict[Path, list[ImageItem]] = {}
    for item in subset.items:
        if isinstance(item.source, Path):
            by_folder.setdefault(item.source.parent, []).append(item)
    num_in_graph = len(subset.items) - sum(map(len, by_folder.values()))
    if num_in_graph:
        notes.append(f"{subset.name}: {num_in_graph} images of the graph are in no folder; Save Dataset writes them")
    notes += _settings_lost(subset)
    for folder, items in by_folder.items():
        extension = _caption_extension(folder, items, subset.name)
        notes += [*_files_lost(folder, items, subset.name, extension), *_masks_lost(folder, items)]
        values = {
            "image_dir": name_folder(folder),
            "caption_extension": extension,
            "class_tokens": subset.name,
            "num_repeats": subset.repeats,
            **({"is_reg": True} if subset.is_regularization else {}),
            **_changed(subset.captions, CaptionSettings(), CAPTION_OPTIONS),
            **_changed(subset.buckets, BucketSettings(), BUCKET_OPTIONS[1:]),
            **_mask_folder(items, name_folder),
        }
        yield "  [[datasets.subsets]]"
        yield from (f"  {name} = {_toml(value)}" for name, value in values.items())


def _bucket_lines(buckets: BucketSettings, notes: list[str]) -> list[str]:
    resolution = buckets.resolution
    if resolution is None:
        notes.append("resolution is not set: 512 is written, for SDXL write 1024")
        resolution = 512
    sides = (resolution, resolution) if isinstance(resolution, int) else resolution
    values: dict[str, Any] = {
        "resolution": resolution if isinstance(resolution, int) else list(resolution),
        "enable_bucket": True,
        "min_bucket_reso": buckets.min_bucket_size or min(sides) // 2,
        "max_bucket_reso": buckets.max_bucket_size or max(sides) * 2,
        "bucket_reso_steps": buckets.bucket_step,
        "bucket_no_upscale": not buckets.upscale,
    }
    return [f"{name} = {_toml(value)}" for name, value in values.items()]


def _changed(settings: Any, default: Any, table: Any) -> dict[str, Any]:
    return {
        name: getattr(settings, field)
        for name, field, _ in table
        if getattr(settings, field) != getattr(default, field)
    }


def _mask_folder(items: list[ImageItem], name_folder: NameFolder) -> Mapping[str, str]:
    masks = _mask_folders(items)
    return {"conditioning_data_dir": name_folder(masks.pop())} if len(masks) == 1 else {}


def _mask_folders(items: list[ImageItem]) -> set[Path]:
    return {item.mask.parent for item in items if isinstance(item.mask, Path) and not _is_beside(item)}


def _settings_lost(subset: Subset) -> list[str]:
    """Settings of the captions and the subset that sd-scripts does not have."""
    known = {"keep_separator", *(field for _, field, _ in (*CAPTION_OPTIONS, *COMMAND_CAPTION_OPTIONS))}
    default = CaptionSettings()
    found = [
        f"{subset.name}: {field.name} of Captions: no equivalent"
        for field in fields(CaptionSettings)
        if field.name not in known and getattr(subset.captions, field.name) != getattr(default, field.name)
    ]
    if subset.buckets.nearest_bucket and not subset.buckets.upscale:
        found.append(f"{subset.name}: nearest_bucket of Resolution & Buckets: no equivalent, pictures may lose more")
    if subset.loss_weight != 1.0:
        found.append(f"{subset.name}: loss_weight {subset.loss_weight:g}: no equivalent")
    return found


def _masks_lost(folder: Path, items: list[ImageItem]) -> list[str]:
    """What sd-scripts would read differently of the masks."""
    found: list[str] = []
    masked, folders = sum(item.mask is not None for item in items), _mask_folders(items)
    if any(item.mask is not None and not isinstance(item.mask, Path) for item in items):
        found.append(f"{folder.name}: masks of the graph are in no folder")
    if any(map(_is_beside, items)):
        found.append(
            f"{folder.name}: masks beside their pictures would be trained as pictures; Save Dataset writes them apart"
        )
    if len(folders) > 1:
        names = ", ".join(sorted(one.name for one in folders))
        found.append(f"{folder.name}: its masks lie in {len(folders)} folders ({names}), a subset has one")
    if len(folders) == 1 and masked < len(items):
        found.append(f"{folder.name}: {len(items) - masked} images have no mask; sd-scripts wants one for each")
    return found


def _is_beside(item: ImageItem) -> bool:
    """Whether the mask lies in the picture's own folder."""
    return isinstance(item.mask, Path) and isinstance(item.source, Path) and item.mask.parent == item.source.parent


def _files_lost(folder: Path, items: list[ImageItem], class_tokens: str, extension: str) -> list[str]:
    """What sd-scripts would read differently from the files."""
    found: list[str] = []
    images = [path for path in folder.iterdir() if path.suffix.lower() in image_extensions()]
    if len(images) > len(items):
        found.append(f"{folder.name}: sd-scripts would train {len(images) - len(items)} images that were left out here")
    edited = len(items) - _num_same(items, class_tokens, extension)
    if edited:
        found.append(f"{folder.name}: {edited} captions differ from their files; Save Dataset writes them as they are")
    return found


def _caption_extension(folder: Path, items: list[ImageItem], class_tokens: str) -> str:
    """The ending, in its letter case, with which sd-scripts reads most captions as they are."""
    pictures = {item.source.stem for item in items if isinstance(item.source, Path)}
    endings = {path.suffix for path in folder.iterdir() if path.stem in pictures}
    others = sorted(ending for ending in endings if ending and ending.lower() not in image_extensions())
    return max((CAPTION_EXTENSION, *others), key=lambda ending: _num_same(items, class_tokens, ending))


def _num_same(items: list[ImageItem], class_tokens: str, extension: str) -> int:
    """Images that sd-scripts would give the same caption lines, those of the files with exactly this ending."""

    def is_same(item: ImageItem) -> bool:
        assert isinstance(item.source, Path)
        path = item.source.with_suffix(extension)
        try:
            return item.captions == (read_captions(path if path.is_file() else None) or (class_tokens,))
        except (OSError, ValueError):
            return False

    return sum(map(is_same, items))


def _toml(value: object) -> str:
    """JSON's strings, numbers, lists and booleans are valid TOML."""
    return json.dumps(value, ensure_ascii=False)
