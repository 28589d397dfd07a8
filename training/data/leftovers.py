"""Reports what is in a dataset's folder but not trained as it may seem, so that nothing is skipped silently."""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from .beside import MAX_ASPECT_DIFFERENCE, mask_like
from .images import PICTURE_FORMATS, ImageFacts, image_extensions
from .marks import LAID_ASIDE, MARKS_FILE

MAX_NAMES_SHOWN = 10
_OF_THE_SYSTEM = frozenset({"thumbs.db", "desktop.ini", MARKS_FILE})


def folder_notes(
    folder: Path,
    pictures: Collection[Path],
    captions: Collection[Path],
    suffixes: Sequence[str],
    apart: Collection[Path],
) -> list[str]:
    """A line for each kind of file in the folder that is unused or looks meant for something else.

    `pictures` are those found in it, `captions` the text files that are read, `suffixes` the endings of such files in
    lower case, `apart` files and folders that other lines speak of: the metadata file, the masks.
    """
    links, files = _links_and_files(folder, apart)
    used = {*pictures, *captions}
    left = [path for path in files if path not in used]
    stems = {path.with_suffix("") for path in pictures}
    texts = [path for path in left if path.suffix.lower() in suffixes]
    unread = [path for path in left if path.suffix.lower() in PICTURE_FORMATS]
    named, extensions = {*texts, *unread}, image_extensions()
    others = [path for path in left if path not in named and path.suffix.lower() not in extensions]
    found: Mapping[str, list[Path]] = {
        "linked folders are not entered; move them into the folder": links,
        "pictures of formats that are not read; save them as PNG, JPEG or WebP": unread,
        "caption files of no picture": [path for path in texts if path.with_suffix("") not in stems],
        "caption files beside another one that is read instead": [p for p in texts if p.with_suffix("") in stems],
        "are named like masks of pictures beside them but have other proportions or color, and are trained as "
        "pictures; rename them, or give the masks a folder of their own as mask_folder": _trained_masks(pictures),
        "other files, not used": others,
        "hidden pictures, not used": _hidden_pictures(folder),
    }
    return [_line(text, folder, paths) for text, paths in found.items() if paths]


def beside_note(folder: Path, beside: Mapping[Path, Path], used: Collection[Path]) -> list[str]:
    """Lines on masks beside pictures: those that are used, and those that are not since a folder has others."""
    groups: dict[str, list[str]] = {}
    for mask in beside.values():
        text = "used as masks of the pictures beside them"
        if mask not in used:
            text = "masks beside pictures, not used because mask_folder has others"
        groups.setdefault(text, []).append(mask.relative_to(folder).as_posix())
    return [f"{text}: {counted(files)}" for text, files in groups.items()]


def stretched_note(pictures: Mapping[str, ImageFacts], masks: Mapping[str, tuple[Path, ImageFacts]]) -> list[str]:
    """A line on masks, by the names of their pictures, that do not have these pictures' proportions."""
    both = ((name, _ratio(fact) / _ratio(masks[name][1])) for name, fact in pictures.items() if name in masks)
    found = [name for name, ratio in both if abs(ratio - 1) > MAX_ASPECT_DIFFERENCE]
    return [f"masks of other proportions than their pictures, stretched to these: {counted(found)}"] * bool(found)


def _ratio(fact: ImageFacts) -> float:
    return fact.width / fact.height


def unmatched_notes(what: str, keys: Collection[str], pictures: Collection[str]) -> list[str]:
    """Entries of a second source (masks, metadata) that match no picture, and pictures without an entry."""
    notes: list[str] = []
    if extra := sorted(set(keys) - set(pictures)):
        notes.append(f"{what} of no picture: {counted(extra)}")
    if lacking := sorted(set(pictures) - set(keys)):
        notes.append(f"pictures without {what}: {counted(lacking)}")
    return notes


def unread_notes(what: str, folder: Path) -> list[str]:
    """A line on pictures below a folder of masks whose format is not read."""
    _, files = _links_and_files(folder, ())
    unread = [path for path in files if path.suffix.lower() in PICTURE_FORMATS - image_extensions()]
    return [_line(f"{what} of formats that are not read; save them as PNG", folder, unread)] * bool(unread)


def counted(found: Sequence[str]) -> str:
    """The number of entries, and the first few in order."""
    return f"{len(found)} ({names(sorted(found))})"


def names(found: Sequence[str]) -> str:
    """The first few entries, and how many more there are."""
    shown = ", ".join(found[:MAX_NAMES_SHOWN])
    return shown if len(found) <= MAX_NAMES_SHOWN else f"{shown} and {len(found) - MAX_NAMES_SHOWN} more"


def _line(text: str, folder: Path, paths: Sequence[Path]) -> str:
    return f"{text}: {counted([path.relative_to(folder).as_posix() for path in paths])}"


def _links_and_files(folder: Path, apart: Collection[Path]) -> tuple[list[Path], list[Path]]:
    links: list[Path] = []
    files: list[Path] = []
    for parent, folders, own in os.walk(folder):
        paths = [Path(parent, name) for name in sorted(folders) if not name.startswith(".")]
        links += [path for path in paths if path.is_symlink() and path not in apart]
        folders[:] = [path.name for path in paths if path not in apart]
        files += [Path(parent, name) for name in _visible(own)]
    return links, [path for path in files if path not in apart]


def _hidden_pictures(folder: Path) -> list[Path]:
    """Pictures with a dot before their name, or below a folder with one; not the data that macOS keeps as `._NAME`."""
    files = (Path(parent, name) for parent, _, own in os.walk(folder) for name in own if not name.startswith("._"))
    pictures = (path for path in files if path.suffix.lower() in image_extensions())

    def is_hidden(path: Path) -> bool:
        parts = path.relative_to(folder).parts
        return any(part.startswith(".") for part in parts) and not any(part in LAID_ASIDE for part in parts)

    return [path for path in pictures if is_hidden(path)]


def _visible(files: Sequence[str]) -> Iterator[str]:
    return (name for name in files if not name.startswith(".") and name.lower() not in _OF_THE_SYSTEM)


def _trained_masks(pictures: Collection[Path]) -> list[Path]:
    return list(dict.fromkeys(path for _, path in mask_like(pictures)))
