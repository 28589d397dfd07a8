"""Captions as text files next to images, or as a metadata file of a folder.

Metadata is kohya's JSON, `{image: {"caption": ..., "tags": ...}}`, or JSON Lines with one object per image, as used by
kohya (`image_path`) and Hugging Face's image folders (`file_name`, `text`).
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

from ..files.json_files import read_json
from ..files.words import is_unicode
from .images import PICTURE_FORMATS
from .leftovers import counted

CAPTION_EXTENSIONS = (".txt", ".caption")
NAME_FIELDS = ("file_name", "image_path", "path", "image")
CAPTION_FIELDS = ("caption", "text", "tags")


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
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name} must be UTF-8 text, byte {error.start} is not; save it as UTF-8") from error


def read_metadata(path: Path) -> dict[str, tuple[str, ...]]:
    """Captions by the image's path below the folder of the metadata file, without extension.

    Raises:
        ValueError: The file is not metadata.
    """
    try:
        records = list(_records(read_text(path)))
    except json.JSONDecodeError as error:
        raise ValueError(f"{path.name} must be JSON or JSON Lines, line {error.lineno}: {error.msg}") from error
    captions = {_key(name, path.parent): _caption(fields) for name, fields in records}
    broken = next((name for name, lines in captions.items() if not is_unicode(name + "".join(lines))), None)
    if broken is not None:
        raise ValueError(f"{path.name}: {broken!r} or its caption holds half of a surrogate pair, which is no text")
    return {key: lines for key, lines in captions.items() if lines}


def twice_notes(path: Path) -> list[str]:
    """A line on images that the metadata file names more than once with other captions: the last one counts."""
    first: dict[str, tuple[str, ...]] = {}
    captions = ((_key(name, path.parent), _caption(fields)) for name, fields in _records(read_text(path)))
    twice = sorted({key for key, lines in captions if first.setdefault(key, lines) != lines})
    return [f"entries that {path.name} has twice, of which the last is used: {counted(twice)}"] * bool(twice)


def metadata_key(image: Path, folder: Path) -> str:
    """Name of an image in `read_metadata` of a file in `folder`."""
    return _stem(PurePosixPath(image.relative_to(folder).as_posix()))


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


def _key(name: str, folder: Path) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    with contextlib.suppress(ValueError):
        path = path.relative_to(PurePosixPath(folder.as_posix()))
    return _stem(path)


def _stem(path: PurePosixPath) -> str:
    """Path without the ending of a picture; other dots belong to the name."""
    return (path.with_suffix("") if path.suffix.lower() in PICTURE_FORMATS else path).as_posix()


def _caption(fields: dict[str, Any]) -> tuple[str, ...]:
    """Lines of the caption, each followed by the tags, as sd-scripts joins them."""
    texts = [_lines(_text(fields[name])) for name in CAPTION_FIELDS if fields.get(name)]
    *sentences, last = texts or [()]
    lines = [line for text in sentences for line in text]
    tags = ", ".join(last)
    return tuple(f"{line}, {tags}" if tags else line for line in lines) if lines else last


def _text(value: Any) -> str:
    return ", ".join(map(str, cast(list[Any], value))) if isinstance(value, list) else str(value)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in (line.strip() for line in text.splitlines()) if line)
