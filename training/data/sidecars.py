"""Captions as text files next to images, or as a metadata file of a folder.

Metadata is kohya's JSON, `{image: {"caption": ..., "tags": ...}}`, or JSON Lines with one object per image, as used by
kohya (`image_path`) and Hugging Face's image folders (`file_name`, `text`).
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, cast

CAPTION_EXTENSIONS = (".txt", ".caption")
NAME_FIELDS = ("file_name", "image_path", "path", "image")
CAPTION_FIELDS = ("caption", "text", "tags")


def read_caption_file(image: Path, extension: str) -> tuple[str, ...]:
    """Lines of the caption file of an image that are not empty; the usual extensions are tried after `extension`.

    Raises:
        ValueError: The file is not UTF-8.
    """
    first = extension if extension.startswith(".") else f".{extension}"
    for suffix in dict.fromkeys((first, *CAPTION_EXTENSIONS)):
        path = image.with_suffix(suffix)
        if path.is_file():
            return _lines(read_text(path))
    return ()


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
    return {key: lines for key, lines in captions.items() if lines}


def metadata_key(image: Path, folder: Path) -> str:
    """Name of an image in `read_metadata` of a file in `folder`."""
    return image.relative_to(folder).with_suffix("").as_posix()


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
            raise ValueError(f"each metadata line must name its image by one of {', '.join(NAME_FIELDS)}, got {row}")
        yield name, row


def _rows(text: str) -> list[dict[str, Any]]:
    try:
        whole: Any = json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
    return cast(list[dict[str, Any]], whole) if isinstance(whole, list) else [whole]


def _key(name: str, folder: Path) -> str:
    path = PurePosixPath(name.replace("\\", "/"))
    with contextlib.suppress(ValueError):
        path = path.relative_to(PurePosixPath(folder.as_posix()))
    return path.with_suffix("").as_posix()


def _caption(fields: dict[str, Any]) -> tuple[str, ...]:
    parts: list[Any] = [fields[name] for name in CAPTION_FIELDS if fields.get(name)]
    return _lines(", ".join(_text(part) for part in parts))


def _text(value: Any) -> str:
    return ", ".join(map(str, cast(list[Any], value))) if isinstance(value, list) else str(value)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line for line in (line.strip() for line in text.splitlines()) if line)
