"""Edits a folder of training images from outside the graph: captions, tags, marks, excluded and added images.

Captions are text files next to the images, marks are in `marks.json`. An excluded image moves to a folder `.excluded`
next to it, which `scan_folder` does not read, and can be restored. An added image that is undone moves to `.removed` in
the same way and is no longer shown. Nothing is ever deleted.

Edits and listings run one at a time. An edit that names the version it is based on is refused if the folder has changed
since.
"""

import functools
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

from ..files.atomic import copy_atomic, write_text_atomic
from ..files.changed import Changed
from .beside import masks_beside, renamed_mask
from .caption_files import DEFAULT_RULES, CaptionReader, CaptionRules
from .entries import (
    EXCLUDED,
    REMOVED,
    Entry,
    entries_of,
    list_entries,
    place_of,
    read_listing,
    tag_counts,
)
from .images import image_extensions
from .marks import Mark, read_marks, write_marks
from .stems import Stems
from .tags import TagEdits, edit_captions

__all__ = [
    "Changed", "Entry", "edit_tag", "image_path", "keep_files", "list_entries", "list_folder", "list_some",
    "save_captions", "set_excluded", "set_marks", "set_removed", "tag_counts",
]  # fmt: skip

P = ParamSpec("P")
R = TypeVar("R")
_LOCK = threading.RLock()


def _one_at_a_time(edit: Callable[P, R]) -> Callable[P, R]:
    @functools.wraps(edit)
    def locked(*args: P.args, **kwargs: P.kwargs) -> R:
        with _LOCK:
            return edit(*args, **kwargs)

    return locked


list_folder = _one_at_a_time(read_listing)
"""`read_listing` between two edits: an image that is being moved would be missing, or without its caption."""
list_some = _one_at_a_time(entries_of)


@_one_at_a_time
def save_captions(
    folder: Path,
    captions: Mapping[str, str],
    rules: CaptionRules = DEFAULT_RULES,
    versions: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Write captions by image name; returns the previous texts, for undo.

    `versions` states what each edit is based on; an image without an entry is always written.

    Raises:
        Changed: A caption has another version.
        ValueError: There is no such image, or its caption is that of a metadata file. Nothing is written in any case.
    """
    reader = CaptionReader.of(folder, rules)
    before = {name: reader.read(image_path(folder, name)) for name in captions}
    for name, caption in before.items():
        if caption.metadata:
            raise ValueError(f"the caption of {name!r} is in {caption.metadata}; edit it there, or clear metadata")
    stale = [name for name, caption in before.items() if (versions or {}).get(name, caption.version) != caption.version]
    if stale:
        raise Changed(stale)
    for name, caption in before.items():
        write_text_atomic(caption.path, captions[name])
    return {name: caption.raw for name, caption in before.items()}


@_one_at_a_time
def edit_tag(folder: Path, tag: str, new: str, rules: CaptionRules = DEFAULT_RULES) -> dict[str, str]:
    """Rename a tag in all captions, or remove it if `new` is empty; returns the changed captions.

    Unchanged: excluded images, captions from a metadata file, and files that cannot be read.
    """
    entries = [
        entry for entry in list_entries(folder, rules) if not (entry.is_excluded or entry.metadata or entry.problem)
    ]
    edits = TagEdits(replace=((tag, new),)) if new else TagEdits(prune=(tag,))
    after = edit_captions([entry.caption for entry in entries], edits)
    changed = {e.name: text for e, text in zip(entries, after, strict=True) if text != e.caption}
    return save_captions(folder, changed, rules)


@_one_at_a_time
def set_excluded(folder: Path, name: str, is_excluded: bool, rules: CaptionRules = DEFAULT_RULES) -> str:
    """Exclude an image from training, or restore it, with its caption; returns its new name.

    Raises:
        ValueError: There is no such image, or another one is at its destination.
    """
    path = image_path(folder, name)
    if (path.parent.name == EXCLUDED) == is_excluded:
        return name
    home = path.parent / EXCLUDED if is_excluded else path.parent.parent
    if (home / path.name).exists():
        raise ValueError(f"there is another {path.name!r} where this one would go; rename one of them")
    return _Mover(folder, rules).move(path, home / path.name)


@_one_at_a_time
def set_marks(
    folder: Path, marks: Mapping[str, Mark | None], based_on: Mapping[str, Mark | None] | None = None
) -> dict[str, Mark | None]:
    """Mark images by name, or remove their mark (None); returns the previous marks, for undo.

    An excluded image keeps its mark.

    Raises:
        Changed: An image has another mark than `based_on` says.
        ValueError: There is no such image, or `marks.json` cannot be read. Nothing is written in any case.
    """
    places = {name: place_of(image_path(folder, name), folder) for name in marks}
    known = read_marks(folder)
    before: dict[str, Mark | None] = {name: known.get(place) for name, place in places.items()}
    stale = [name for name, mark in before.items() if (based_on or {}).get(name, mark) != mark]
    if stale:
        raise Changed(stale)
    wanted: dict[str, Mark | None] = {**known, **{places[name]: mark for name, mark in marks.items()}}
    write_marks(folder, {place: mark for place, mark in wanted.items() if mark is not None})
    return before


@_one_at_a_time
def set_removed(folder: Path, names: Sequence[str], is_removed: bool, rules: CaptionRules = DEFAULT_RULES) -> list[str]:
    """Move images, with their captions, to `.removed` or back; returns their new names.

    Each folder is listed once, so that the time grows with the number of images and not with its square.

    Raises:
        ValueError: There is no such image, or another one is at its destination.
    """
    paths = dict.fromkeys(image_path(folder, name) for name in names)  # a mask named too goes with its picture
    moved = [path for path in paths if (path.parent.name == REMOVED) != is_removed]
    mover = _Mover(folder, rules)
    if is_removed:
        return [mover.move(path, mover.free_path(path.parent / REMOVED, path.name)) for path in moved if path.is_file()]
    for path in moved:
        if (path.parent.parent / path.name).exists():
            raise ValueError(f"there is another {path.name!r} where this one would go; rename one of them")
    return [mover.move(path, path.parent.parent / path.name) for path in moved if path.is_file()]


class _Mover:
    """Moves images of a folder with their captions and masks, each folder listed once."""

    def __init__(self, folder: Path, rules: CaptionRules) -> None:
        self.folder, self.suffixes, self.stems = folder, rules.suffixes, Stems()

    def free_path(self, home: Path, name: str) -> Path:
        """A path with that name, or with a number added, that shares its stem with no image or caption there."""
        return self.stems.free_path(home, name, self.suffixes)

    def move(self, path: Path, target: Path) -> str:
        """Move an image with its captions and masks; returns its new name below the folder."""
        target.parent.mkdir(exist_ok=True)
        is_shared = len(self.stems.sharing(path)) > 1
        mask = None if is_shared else masks_beside(self.stems.with_masks(path)).get(path)
        if mask:
            self._replace(mask, renamed_mask(mask, target))
        for suffix in self.suffixes:
            if path.with_suffix(suffix).is_file():
                self._move_caption(path.with_suffix(suffix), target.with_suffix(suffix), is_shared)
        self._replace(path, target)
        return target.relative_to(self.folder).as_posix()

    def _replace(self, path: Path, target: Path) -> None:
        path.replace(target)
        self.stems.moved(path, target)

    def _move_caption(self, caption: Path, goal: Path, is_shared: bool) -> None:
        """If two captions have the same name, that of a trained image stays; the other one is kept in `.removed`."""
        if goal.exists() and goal.read_bytes() != caption.read_bytes():
            if goal.parent.name != EXCLUDED:
                if not is_shared:
                    self._keep_aside(caption, goal.parent)
                return
            self._keep_aside(goal, goal.parent.parent)
        if is_shared:
            copy_atomic(caption, goal)
        else:
            caption.replace(goal)

    def _keep_aside(self, caption: Path, home: Path) -> None:
        target = self.free_path(home / REMOVED, caption.name)
        target.parent.mkdir(exist_ok=True)
        caption.replace(target)


@_one_at_a_time
def keep_files(pictures: Sequence[Path], folder: Path, caption: str, rules: CaptionRules = DEFAULT_RULES) -> list[str]:
    """Copy pictures into the folder under unused names, each with the caption; returns the names.

    The files are copied unchanged, so workflow and seed stay in them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    stems = Stems()
    for picture in pictures:
        target = stems.free_path(folder, picture.name, rules.suffixes)
        write_text_atomic(target.with_suffix(rules.suffixes[0]), caption)
        copy_atomic(picture, target)
        stems.added(target)
        names.append(target.name)
    return names


def image_path(folder: Path, name: str) -> Path:
    """An image of the folder by its name below it.

    Raises:
        ValueError: The name leads out of the folder or names no image there.
    """
    path = folder / name
    is_inside = path.resolve().is_relative_to(folder.resolve()) and ".." not in path.parts
    if not is_inside or path.suffix.lower() not in image_extensions() or not path.is_file():
        raise ValueError(f"there is no image {name[:80]!r} in this folder")
    return path
