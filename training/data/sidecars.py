"""Captions as text files next to images, or as a metadata file of a folder.

Metadata is kohya's JSON, `{image: {"caption": ..., "tags": ...}}`, or JSON Lines with one object per image, as used by
kohya (`image_path`) and Hugging Face's image folders (`file_name`, `text`).
"""

import json
from collections.abc import Iterator, Sequence
from glob import escape
from pathlib import Path, PurePosixPath
from posixpath import commonpath
from re import compile as regex
from typing import Any, cast

from ..files.json_files import read_json
from ..files.words import is_unicode
from .images import PICTURE_FORMATS
from .leftovers import counted

CAPTION_EXTENSIONS = (".txt", ".caption")
NAME_FIELDS = ("file_name", "image_path", "path", "image")
CAPTION_FIELDS = ("caption", "text", "tags")
_ABSOLUTE = regex(r"/|[A-Za-z]:/")
_NAMES_TRIED = 20
"""Absolute names that are looked for in the folder."""


def caption_suffixes(extension: str) -> tuple[str, ...]:
    """Endings of caption files, in order of precedence."""
    first = extension if extension.startswith(".") else f".{extension}"
    return tuple(dict.fromkeys((first, *CAPTION_EXTENSIONS)))


def caption_path(image: Path, extension: str) -> Path | None:
    """The caption file of an image, ignoring the letter case of its ending; None if there is none."""
    suffixes = caption_suffixes(extension)
    candidates = (suffix for wanted in suffixes for suffix in (wanted, wanted.upper(), wanted.lower(), wanted.title()))
    return next((path for suffix in candidates if (path := image.with_suffix(suffix)).is_file()), None)


def read_captions(path: Path | None) -> tuple[str, ...]:
    """Non-empty lines of a caption file; one empty line if there are none; nothing without a file.

    Raises:
        ValueError: The file is not UTF-8.
    """
    return () if path is None else _lines(read_text(path)) or ("",)


def read_text(path: Path) -> str:
    """Text of a UTF-8 file, with or without byte order mark.

    Raises:
        ValueError: The file is not UTF-8.
    """
    return decoded(path.read_bytes(), path.name)


def decoded(data: bytes, name: str) -> str:
    """The text of a UTF-8 file's bytes.

    Raises:
        ValueError: They are not UTF-8; English in UTF-16 is by its bytes, with a zero beside each letter.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} must be UTF-8 text, byte {error.start} is not; save it as UTF-8") from error
    if "\0" in text:
        raise ValueError(f"{name} must be UTF-8 text, byte {data.index(0)} is zero, as in UTF-16; save it as UTF-8")
    return text


def read_metadata(path: Path) -> dict[str, tuple[str, ...]]:
    """Captions by the image's path below the folder of the metadata file, without extension.

    Raises:
        ValueError: The file is not metadata.
    """
    try:
        captions = {key: _caption(fields) for key, fields in _entries(path)}
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} must be JSON or JSON Lines, line {error.lineno}: {error.msg}") from error
    except TypeError as error:
        raise ValueError(f"{path.name}: {error}; captions must be texts or lists of texts, by image") from error
    broken = next((name for name, lines in captions.items() if not is_unicode(name + "".join(lines))), None)
    if broken is not None:
        raise ValueError(f"{path.name}: {broken!r} or its caption holds half of a surrogate pair, which is no text")
    return {key: lines for key, lines in captions.items() if lines}


def twice_notes(path: Path) -> list[str]:
    """A line on images that the metadata file names more than once with other captions: the last one counts."""
    first: dict[str, tuple[str, ...]] = {}
    captions = ((key, _caption(fields)) for key, fields in _entries(path))
    twice = sorted({key for key, lines in captions if first.setdefault(key, lines) != lines})
    return [f"entries that {path.name} has twice, of which the last is used: {counted(twice)}"] * bool(twice)


def elsewhere_note(path: Path) -> list[str]:
    """A line on entries that name another folder, which are taken for the images of this one."""
    root = _elsewhere([_posix(name) for name, _ in _records(read_text(path))], path.parent)
    return [] if root is None else [f"entries of {path.name} name images in {root}, taken for those of this folder"]


def metadata_key(image: Path, folder: Path) -> str:
    """Name of an image in `read_metadata` of a file in `folder`."""
    return _stem(PurePosixPath(image.relative_to(folder).as_posix()))


def _entries(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """`metadata_key` and fields of every entry."""
    records = list(_records(read_text(path)))
    root = _elsewhere([_posix(name) for name, _ in records], path.parent)
    roots = [PurePosixPath(path.parent.as_posix()), *([] if root is None else [root])]
    return [(_key(_posix(name), roots), fields) for name, fields in records]


def _elsewhere(names: Sequence[PurePosixPath], folder: Path) -> PurePosixPath | None:
    """The folder, of another machine, that stands for `folder` in absolute names; None if there are none like that."""
    here = PurePosixPath(folder.as_posix())
    foreign = [name for name in names if _ABSOLUTE.match(str(name)) and not name.is_relative_to(here)]
    try:
        common = PurePosixPath(commonpath([name.parent for name in foreign]))
    except ValueError:  # none, or some of Windows and some not
        return None
    for root in (one for one in (common, *common.parents) if one.parts):
        places = (folder / name.relative_to(root) for name in foreign[:_NAMES_TRIED])
        if any(any(place.parent.glob(f"{escape(_stem(PurePosixPath(place.name)))}.*")) for place in places):
            return root
    return None


def _records(text: str) -> Iterator[tuple[str, dict[str, Any]]]:
    rows = _rows(text)
    if len(rows) == 1 and not any(name in rows[0] for name in NAME_FIELDS):
        yield from (
            (name, fields if isinstance(fields, dict) else {"caption": fields}) for name, fields in rows[0].items()
        )
        return
    for row in rows:
        name = next((str(row[field]) for field in NAME_FIELDS if field in row), None)
        if name is None:
            raise ValueError(
                f"each metadata line must name its image by one of {', '.join(NAME_FIELDS)}, got {str(row)[:80]}"
            )
        yield name, row


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        whole: Any = read_json(text)
    except json.JSONDecodeError:
        return _checked([read_json(line) for line in text.splitlines() if line.strip()])
    return _checked(cast(list[Any], whole) if isinstance(whole, list) else [whole])


def _checked(rows: list[Any]) -> list[dict[str, Any]]:
    wrong = [row for row in rows if not isinstance(row, dict)]
    if wrong:
        raise ValueError(f"metadata must be objects with captions by image, got {str(wrong[0])[:40]!r}")
    return cast(list[dict[str, Any]], rows)


def _posix(name: str) -> PurePosixPath:
    path = name.replace("\\", "/")
    return PurePosixPath(f"/{path.lstrip('/')}" if path.startswith("//") else path)  # a share's name begins with two


def _key(path: PurePosixPath, roots: Sequence[PurePosixPath]) -> str:
    return _stem(next((path.relative_to(root) for root in roots if path.is_relative_to(root)), path))


def _stem(path: PurePosixPath) -> str:
    """Path without the ending of a picture; other dots belong to the name."""
    return (path.with_suffix("") if path.suffix.lower() in PICTURE_FORMATS else path).as_posix()


def _caption(fields: dict[str, Any]) -> tuple[str, ...]:
    """Lines of the caption, each followed by the tags, as sd-scripts joins them."""
    if fields and all(isinstance(value, dict) for value in fields.values()):
        raise TypeError(f"{str(fields)[:40]!r} holds entries of its own")
    texts = [_lines(_text(fields[name])) for name in CAPTION_FIELDS if fields.get(name)]
    *sentences, last = texts or [()]
    lines = [line for text in sentences for line in text]
    tags = ", ".join(last)
    return tuple(f"{line}, {tags}" if tags else line for line in lines) if lines else last


def _text(value: Any) -> str:
    parts = cast(list[Any], value) if isinstance(value, list) else [value]
    for part in parts:
        if isinstance(part, (dict, list)):
            raise TypeError(f"{str(cast(Any, part))[:40]!r} is no text")
    return ", ".join(map(str, parts))


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in (line.strip() for line in text.splitlines()) if line)
