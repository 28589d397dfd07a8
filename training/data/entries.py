"""The images of a folder as an editor shows them: with captions and marks, excluded ones included."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..files.words import is_unicode
from .beside import masks_beside
from .caption_files import DEFAULT_RULES, CaptionReader, CaptionRules
from .folder import natural_key
from .images import image_extensions
from .marks import LAID_ASIDE, Mark, read_marks
from .stems import Stems
from .tags import count_tags

EXCLUDED, REMOVED = LAID_ASIDE
MAX_ENTRIES = 5000
"""Maximum number of entries sent to a page at once."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An image of the folder as an editor shows it."""

    name: str
    """Path below the folder, with `/`; for an excluded image it includes `.excluded`."""
    caption: str
    is_excluded: bool
    mark: Mark | None
    changed: int
    """Modification time of the picture in seconds; tells a new picture under an old name."""
    place: str = ""
    """Its name, or the name it has once it is no longer excluded."""
    version: str = ""
    """Version of the caption that an edit is based on."""
    caption_file: str = ""
    """Path of the caption file below the folder; images of one stem share it."""
    metadata: str = ""
    """The metadata file that the caption is from, if any; then it cannot be edited here."""
    problem: str = ""
    """Why the caption cannot be read."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A folder's images; those that cannot be read do not hide the others."""

    entries: tuple[Entry, ...] = ()
    """All of them, in natural order."""
    problems: tuple[str, ...] = ()


def list_entries(folder: Path, rules: CaptionRules = DEFAULT_RULES) -> list[Entry]:
    """Images in and below the folder in natural order, excluded ones too; without those whose names are no text.

    Raises:
        ValueError: `marks.json` cannot be read.
    """
    return _entries(folder, _images(folder)[0], CaptionReader.of(folder, rules), read_marks(folder))


def read_listing(folder: Path, rules: CaptionRules = DEFAULT_RULES) -> Listing:
    """The same, reporting what cannot be read instead of raising."""
    reader = CaptionReader.of(folder, rules)
    images, unnamed = _images(folder)
    problems = [reader.problem] * bool(reader.problem)
    if unnamed:
        problems.append(f"not shown, since their names are not valid Unicode: {', '.join(unnamed)}; rename them")
    marks: Mapping[str, Mark] = {}
    try:
        marks = read_marks(folder)
    except (ValueError, OSError) as error:
        problems.append(str(error) if isinstance(error, ValueError) else f"marks.json: {error.strerror}")
    return Listing(tuple(_entries(folder, images, reader, marks)), tuple(problems))


def tag_counts(entries: Sequence[Entry]) -> list[tuple[str, int]]:
    """Tags of the trained images, most frequent first."""
    counts = count_tags(entry.caption for entry in entries if not entry.is_excluded)
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def entries_of(folder: Path, names: Sequence[str], rules: CaptionRules = DEFAULT_RULES) -> list[Entry]:
    """The named images as they are now, plus those that share their caption files; without deleted ones."""
    reader, marks = CaptionReader.of(folder, rules), _marks_or_none(folder)
    wanted = [folder / name for name in names]
    stems = Stems()
    paths = dict.fromkeys(path for image in wanted for path in stems.sharing(image))
    found = (_entry(path, folder, reader, marks) for path in paths)
    return [entry for entry in found if entry]


def place_of(path: Path, folder: Path) -> str:
    """Name of an image without the folder of excluded images."""
    return path.relative_to(folder).as_posix().replace(f"{EXCLUDED}/", "")


def _images(folder: Path) -> tuple[list[Path], list[str]]:
    """Images, and the names for a message of those whose names are no text: a page could not ask for them."""
    found = list(_image_paths(folder))
    named = [path for path in found if is_unicode(path.relative_to(folder).as_posix())]
    return named, [ascii(path.name) for path in found if not is_unicode(path.relative_to(folder).as_posix())]


def _entries(folder: Path, files: Sequence[Path], reader: CaptionReader, marks: Mapping[str, Mark]) -> list[Entry]:
    paths = sorted({*files} - {*masks_beside(files).values()}, key=lambda path: natural_key(place_of(path, folder)))
    return [entry for path in paths if (entry := _entry(path, folder, reader, marks))]


def _image_paths(folder: Path) -> Iterator[Path]:
    extensions = image_extensions()
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") or name == EXCLUDED]
        for name in files:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in extensions and path.is_file():
                yield path


def _entry(path: Path, folder: Path, reader: CaptionReader, marks: Mapping[str, Mark]) -> Entry | None:
    try:
        changed = int(path.stat().st_mtime)
    except OSError:  # deleted meanwhile
        return None
    caption = reader.read(path)
    name, place = path.relative_to(folder).as_posix(), place_of(path, folder)
    return Entry(
        name, caption.text, EXCLUDED in path.relative_to(folder).parts, marks.get(place), changed, place,
        caption.version, caption.path.relative_to(folder).as_posix(), caption.metadata, caption.problem,
    )  # fmt: skip


def _marks_or_none(folder: Path) -> Mapping[str, Mark]:
    try:
        return read_marks(folder)
    except (ValueError, OSError):
        return {}
