"""Datasets from a folder of images.

Folders follow kohya's layout: a subfolder `10_name` holds the concept "name", each image repeated ten times per
epoch. Folders without a number, nested folders and images next to the folders are read too.
"""

import os
import re
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from re import compile as regex

from .beside import masks_beside
from .dataset import Dataset, Subset
from .images import ImageFacts, ImageItem, image_extensions, inspect_file
from .leftovers import (
    beside_note,
    counted,
    folder_notes,
    names,
    stretched_note,
    unmatched_notes,
    unread_notes,
)
from .lookalikes import lookalike_notes
from .marks import REGULARIZATION, VALIDATION, Mark, read_marks
from .sidecars import (
    caption_path,
    caption_suffixes,
    elsewhere_note,
    metadata_key,
    read_captions,
    read_metadata,
    twice_notes,
)

NUMBERED_FOLDER = regex(r"(\d+)_(.+)")
"""kohya's name of a concept's folder: repeats and name."""


@dataclass(frozen=True, slots=True)
class _Concept:
    name: str
    repeats: int


LONGEST_EXTENSION = 40
"""Characters of a caption file's ending; file systems take some 250 for a whole name."""
TAGGER_PAGE = "docs/guide/captions.md"
"""Page that shows the graph with a tagger."""


def list_images(folder: Path) -> list[Path]:
    """Image files in a folder and its subfolders in natural order (2 before 10); hidden ones are skipped."""
    extensions = image_extensions()
    images: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        images += [Path(parent, name) for name in files if not name.startswith(".")]
    images = [path for path in images if path.suffix.lower() in extensions]
    return sorted(images, key=lambda path: natural_key(path.relative_to(folder).as_posix()))


def natural_key(text: str) -> tuple[tuple[bool, int, str], ...]:
    """Sort key by which "image 10" comes after "image 2"."""
    parts = [part for part in re.split(r"(\d+)", text.casefold()) if part]
    return tuple((not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in parts)


def scan_folder(
    folder: Path,
    caption_extension: str = ".txt",
    repeats: int = 1,
    metadata: Path | None = None,
    mask_folder: Path | None = None,
    class_tokens: str = "",
) -> Dataset:
    """Images in and below a folder with their captions, one subset for each `N_name` folder.

    `repeats` multiplies the number in a folder's name. An image's caption is that of `metadata`, else that of the text
    file beside it (blank if that is), else `class_tokens`, else the name of its folder without the number.
    `mask_folder` holds masks under the images' names; masks beside the images count where it has none. Whatever else
    is in the folder is named in the dataset's notes. Marks in `marks.json` make images regularization images, or hold
    them out for validation.

    Raises:
        ValueError: The folder is missing or has no image that can be read or trained, or a caption file is not UTF-8.
    """
    _check(folder, caption_extension, metadata)
    files = [p for p in list_images(folder) if mask_folder is None or mask_folder not in p.parents]
    beside = masks_beside(files)
    beside_masks = set(beside.values())
    found = [path for path in files if path not in beside_masks]
    paths = [path for path in found if _concept(path, folder).repeats > 0]
    facts, broken = _inspect_all(paths)
    if not facts:
        raise ValueError(_nothing_found(folder, len(paths)))
    known = {} if metadata is None else read_metadata(metadata)
    captions, unnamed = _captions(folder, list(facts), caption_extension, known)
    captioned = captions.keys() - set(unnamed)
    if class_tokens:
        captions |= dict.fromkeys(unnamed, (class_tokens,))
        unnamed = []
    masks, broken_masks = _masks(mask_folder, folder, beside)
    marks = read_marks(folder)
    grouped: dict[tuple[_Concept, Mark | None], list[ImageItem]] = {}
    for path, fact in facts.items():
        item = _item(path, folder, fact, captions[path], masks)
        grouped.setdefault((_concept(path, folder), marks.get(item.name)), []).append(item)
    notes = [_unnamed_note(folder, unnamed, len(captions))] * bool(unnamed)
    notes += [f"skipped because they cannot be read: {counted(broken + broken_masks)}"] * bool(broken + broken_masks)
    notes += _zero_note(folder, found, paths)
    notes += _elsewhere_notes(metadata, known, mask_folder, masks, {metadata_key(path, folder) for path in paths})
    texts = [path for path in (caption_path(image, caption_extension) for image in found) if path]
    apart = {*beside_masks, *(path for path in (metadata, mask_folder) if path is not None)}
    notes += [
        *stretched_note({metadata_key(path, folder): fact for path, fact in facts.items()}, masks),
        *beside_note(folder, beside, {mask for mask, _ in masks.values()}),
        *folder_notes(folder, found, texts, caption_suffixes(caption_extension.lower()), apart),
        *lookalike_notes(folder, facts, captioned, {folder / name for name in marks}),
    ]
    subsets: dict[bool, list[Subset]] = {False: [], True: []}
    for (concept, mark), items in grouped.items():
        subset = Subset(
            items=tuple(items), name=concept.name, repeats=repeats * concept.repeats,
            is_regularization=mark == REGULARIZATION,
        )  # fmt: skip
        subsets[mark == VALIDATION].append(subset)
    if not subsets[False]:
        raise ValueError(f"all images of {folder.name!r} are marked for validation; leave some to train on")
    return Dataset(tuple(subsets[False]), tuple(notes), tuple(subsets[True]))


def _elsewhere_notes(
    metadata: Path | None, known: Collection[str], mask_folder: Path | None, masks: Collection[str], keys: set[str]
) -> list[str]:
    """Notes on captions and masks that stand apart from the images, whose names are `keys`."""
    notes: list[str] = []
    if metadata is not None:
        notes += [*unmatched_notes(f"entries in {metadata.name}", known, keys), *twice_notes(metadata)]
        notes += elsewhere_note(metadata)
    if mask_folder is not None:
        notes += [*unmatched_notes("masks", masks, keys), *unread_notes("masks", mask_folder)]
    return notes


def _inspect_all(paths: Sequence[Path]) -> tuple[dict[Path, ImageFacts], list[str]]:
    """Facts about the readable images, and names of the unreadable ones."""

    def inspect(path: Path) -> ImageFacts | str:
        try:
            return inspect_file(path)
        except OSError as error:
            return f"{path.name} ({_plain(error, path)})"

    with ThreadPoolExecutor() as pool:  # decoding releases Python's lock
        results = list(pool.map(inspect, paths))
    facts = {path: found for path, found in zip(paths, results, strict=True) if isinstance(found, ImageFacts)}
    return facts, [found for found in results if isinstance(found, str)]


def _plain(error: OSError, path: Path) -> str:
    # Messages of the decoder contain the whole path, which does not belong in a shared log.
    return str(error).replace(repr(str(path)), "the file").replace(str(path), "the file")


def _item(
    path: Path, folder: Path, fact: ImageFacts, captions: tuple[str, ...], masks: Mapping[str, tuple[Path, ImageFacts]]
) -> ImageItem:
    mask, of_mask = masks.get(metadata_key(path, folder), (None, None))
    return ImageItem(
        name=path.relative_to(folder).as_posix(),
        source=path,
        captions=captions,
        width=fact.width,
        height=fact.height,
        content_hash=fact.content_hash,
        mask=mask,
        mask_hash=of_mask.content_hash if of_mask else "",
    )


def _masks(
    mask_folder: Path | None, folder: Path, beside: Mapping[Path, Path]
) -> tuple[dict[str, tuple[Path, ImageFacts]], list[str]]:
    """File and facts of each image's mask by the image's key, and names of those that cannot be read."""
    near = {metadata_key(image, folder): (mask, inspect_file(mask)) for image, mask in beside.items()}
    if mask_folder is None:
        return near, []
    if not mask_folder.is_dir():
        raise ValueError(f"there is no mask folder {mask_folder.name!r}; create it, or leave mask_folder empty")
    facts, broken = _inspect_all(list_images(mask_folder))
    return near | {metadata_key(path, mask_folder): (path, fact) for path, fact in facts.items()}, broken


def _check(folder: Path, extension: str, metadata: Path | None) -> None:
    if not folder.is_dir():
        raise ValueError(f"there is no folder {folder.name!r}; put images into it, or choose another")
    if len(extension) > LONGEST_EXTENSION:
        raise ValueError(
            f"caption_extension must be an ending such as '.txt' of at most {LONGEST_EXTENSION} characters, got "
            f"{len(extension)}"
        )
    if metadata is not None and not metadata.is_file():
        raise ValueError(
            f"metadata must be a file in {folder.name!r}, got {metadata.name!r}, which is not there; leave it empty to "
            "read the caption beside each image"
        )


def _captions(
    folder: Path, paths: Sequence[Path], extension: str, known: Mapping[str, tuple[str, ...]]
) -> tuple[dict[Path, tuple[str, ...]], list[Path]]:
    """Caption lines of each image, and the images captioned with their folder's name."""
    captions: dict[Path, tuple[str, ...]] = {}
    unnamed: list[Path] = []
    unreadable: list[str] = []
    for path in paths:
        try:
            lines = known.get(metadata_key(path, folder)) or read_captions(caption_path(path, extension))
        except ValueError as error:
            unreadable.append(str(error))
            continue
        if not lines:
            unnamed.append(path)
        captions[path] = lines or (_concept(path, folder).name,)
    if unreadable:
        raise ValueError("; ".join(unreadable))
    return captions, unnamed


def _zero_note(folder: Path, found: Sequence[Path], used: Sequence[Path]) -> list[str]:
    kept = set(used)
    left = [path.relative_to(folder).as_posix() for path in found if path not in kept]
    return [f"pictures left out because their folder's name says 0 repeats: {counted(left)}"] * bool(left)


def _concept(path: Path, folder: Path) -> _Concept:
    """The nearest `N_name` folder above an image, up to `folder` itself, else its own folder with one repeat."""
    steps_up = len(path.relative_to(folder).parts)
    for parent in list(path.parents)[:steps_up]:
        match = NUMBERED_FOLDER.fullmatch(parent.name)
        if match:
            return _Concept(match[2], int(match[1]))
    return _Concept(path.parent.name, 1)


def _unnamed_note(folder: Path, paths: Sequence[Path], total: int) -> str:
    used = dict.fromkeys(_concept(path, folder).name for path in paths)
    shown = names([path.relative_to(folder).as_posix() for path in paths])
    return (
        f"{len(paths)} of {total} images have no caption, so the folder's name is used ({', '.join(map(repr, used))}): "
        f"{shown}. A tagger node writes captions: see Captions from a tagger in the guide ({TAGGER_PAGE})"
    )


def _nothing_found(folder: Path, num_broken: int) -> str:
    found = f"none of its {num_broken} can be read" if num_broken else "there are none in it"
    return f"the folder {folder.name!r} must have images ({', '.join(sorted(image_extensions()))}), but {found}"
