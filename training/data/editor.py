"""Changes to a folder of training images from outside the graph: captions, tags, marks, what is left out or added.

Captions are the text files beside the images, marks lie in `marks.json`. An image left out lies in a folder `.excluded`
beside its place: hidden folders are not read by `scan_folder`, and it can be put back. One whose adding was taken back
goes to `.removed` in the same way, and is not shown any more. Nothing is ever deleted.
"""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files.atomic import write_atomic, write_text_atomic
from .folder import image_extensions, natural_key
from .marks import Mark, read_marks, write_marks
from .sidecars import CAPTION_EXTENSIONS, read_caption_file
from .tags import TagEdits, count_tags, edit_captions

EXCLUDED, REMOVED = ".excluded", ".removed"
MAX_ENTRIES = 5000


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of the folder as an editor shows it."""

    name: str
    """Path below the folder, with `/`; that of an excluded one leads through `.excluded`."""
    caption: str
    is_excluded: bool
    mark: Mark | None
    changed: int
    """Time of the last change of the picture, in seconds; tells a new picture under an old name."""


def list_entries(folder: Path) -> list[Entry]:
    """Images in and below the folder in natural order, excluded ones too, at most 5000."""
    paths = sorted(_image_paths(folder), key=lambda path: natural_key(_place(path, folder)))
    marks = read_marks(folder)
    return [_entry(path, folder, marks) for path in paths[:MAX_ENTRIES]]


def tag_counts(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Tags of the images that are trained, the most frequent first."""
    counts = count_tags(entry.caption for entry in entries if not entry.is_excluded)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def save_captions(folder: Path, captions: Mapping[str, str]) -> dict[str, str]:
    """Writes captions by the images' names; returns those that were there before, for undo.

    Raises:
        ValueError: There is no such image; nothing is written then.
    """
    paths = {name: image_path(folder, name) for name in captions}
    before = {name: _read_caption(path) for name, path in paths.items()}
    for name, path in paths.items():
        write_text_atomic(_caption_path(path), captions[name])
    return before


def edit_tag(folder: Path, tag: str, new: str) -> dict[str, str]:
    """Renames a tag in all captions, or removes it where `new` is empty; returns the captions that were changed."""
    entries = [entry for entry in list_entries(folder) if not entry.is_excluded]
    edits = TagEdits(replace=((tag, new),)) if new else TagEdits(prune=(tag,))
    after = edit_captions([entry.caption for entry in entries], edits)
    changed = {e.name: text for e, text in zip(entries, after, strict=True) if text != e.caption}
    return save_captions(folder, changed)


def set_excluded(folder: Path, name: str, is_excluded: bool) -> str:
    """Leaves an image out of training or puts it back, with its caption; returns its new name.

    Raises:
        ValueError: There is no such image, or another one is at the place it would go to.
    """
    path = image_path(folder, name)
    if (path.parent.name == EXCLUDED) == is_excluded:
        return name
    return _move(folder, path, path.parent / EXCLUDED if is_excluded else path.parent.parent)


def set_marks(folder: Path, marks: Mapping[str, Mark | None]) -> dict[str, Mark | None]:
    """Marks images by name, or takes their mark away (None); returns the marks they had, for undo.

    An image keeps its mark while it is excluded.

    Raises:
        ValueError: There is no such image, or `marks.json` cannot be read; nothing is written then.
    """
    places = {name: _place(image_path(folder, name), folder) for name in marks}
    known = read_marks(folder)
    before: dict[str, Mark | None] = {name: known.get(place) for name, place in places.items()}
    wanted: dict[str, Mark | None] = {**known, **{places[name]: mark for name, mark in marks.items()}}
    write_marks(folder, {place: mark for place, mark in wanted.items() if mark is not None})
    return before


def set_removed(folder: Path, names: Sequence[str], is_removed: bool) -> list[str]:
    """Takes images, with their captions, out of the folder's sight or puts them back; returns their new names.

    Raises:
        ValueError: There is no such image, or another one is at the place it would go to.
    """
    paths = [image_path(folder, name) for name in names]
    return [
        _move(folder, path, path.parent / REMOVED if is_removed else path.parent.parent)
        for path in paths
        if (path.parent.name == REMOVED) != is_removed
    ]


def _move(folder: Path, path: Path, home: Path) -> str:
    """Moves an image with its captions; returns its new name below the folder."""
    if (home / path.name).exists():
        raise ValueError(f"there is another {path.name!r} where this one would go; rename one of them")
    home.mkdir(exist_ok=True)
    for extension in CAPTION_EXTENSIONS:
        if path.with_suffix(extension).is_file():
            path.with_suffix(extension).replace(home / path.with_suffix(extension).name)
    path.replace(home / path.name)
    return (home / path.name).relative_to(folder).as_posix()


def keep_files(pictures: Sequence[Path], folder: Path, caption: str) -> list[str]:
    """Copies pictures into the folder under names of their own, each with the caption; returns the names.

    The files are copied as they are, so what they carry of their origin (workflow, seed) stays in them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    names: list[str] = []
    for picture in pictures:
        target = _free_path(folder, picture.name)
        write_atomic(target, lambda temporary, picture=picture: _copy(picture, temporary))
        write_text_atomic(_caption_path(target), caption)
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


def _image_paths(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        hidden = [part for part in path.relative_to(folder).parts if part.startswith(".") and part != EXCLUDED]
        if not hidden and path.suffix.lower() in image_extensions() and path.is_file():
            yield path


def _place(path: Path, folder: Path) -> str:
    return path.relative_to(folder).as_posix().replace(f"{EXCLUDED}/", "")


def _entry(path: Path, folder: Path, marks: Mapping[str, Mark]) -> Entry:
    name = path.relative_to(folder).as_posix()
    mark = marks.get(_place(path, folder))
    return Entry(name, _read_caption(path), EXCLUDED in path.parts, mark, int(path.stat().st_mtime))


def _read_caption(path: Path) -> str:
    return "\n".join(read_caption_file(path, CAPTION_EXTENSIONS[0]))


def _caption_path(path: Path) -> Path:
    """The caption file that is there, else the usual one."""
    candidates = [path.with_suffix(extension) for extension in CAPTION_EXTENSIONS]
    return next((candidate for candidate in candidates if candidate.is_file()), candidates[0])


def _free_path(folder: Path, name: str) -> Path:
    stem, suffix = Path(name).stem, Path(name).suffix.lower()
    number = 1
    path = folder / f"{stem}{suffix}"
    while path.exists() or _caption_path(path).exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
