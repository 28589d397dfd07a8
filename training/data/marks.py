"""Marks of single images in a folder: validation or regularization.

Marks are stored in the folder itself, in `marks.json`, so that they move with the images and can be edited:

{"regularization": ["cat1.png"], "validation": ["10_fox/3.png"]}

Names are paths relative to the folder, with `/`. Names without an image are ignored.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

from ..files.atomic import write_text_atomic
from ..files.json_files import read_json
from ..files.words import is_unicode

Mark = Literal["regularization", "validation"]
REGULARIZATION: Final = "regularization"
VALIDATION: Final = "validation"
MARKS = (REGULARIZATION, VALIDATION)
MARKS_FILE = "marks.json"
LAID_ASIDE = (".excluded", ".removed")
"""Folders of pictures that were taken out in the gallery."""


def read_marks(folder: Path) -> dict[str, Mark]:
    """Marks by image name; empty without a file.

    Raises:
        ValueError: The file is not JSON of that form.
    """
    try:
        text = (folder / MARKS_FILE).read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return {}
    except UnicodeDecodeError:
        raise _unreadable(folder) from None
    return {name: mark for mark, names in _lists(text, folder).items() for name in names}


def _lists(text: str, folder: Path) -> dict[Mark, list[str]]:
    try:
        found: Any = read_json(text)
    except ValueError:
        raise _unreadable(folder) from None
    if not isinstance(found, dict):
        raise _unreadable(folder)
    lists = cast(dict[str, Any], found)
    for key, names in lists.items():
        if key not in MARKS or not isinstance(names, list):
            raise _unreadable(folder)
        if not all(isinstance(name, str) and is_unicode(name) for name in cast(list[Any], names)):
            raise _unreadable(folder)
    return cast(dict[Mark, list[str]], lists)


def _unreadable(folder: Path) -> ValueError:
    form = json.dumps({mark: ["name.png"] for mark in MARKS})
    return ValueError(f"{folder.name}/{MARKS_FILE} must have the form {form}; fix it, or delete it to start over")


def write_marks(folder: Path, marks: Mapping[str, Mark]) -> None:
    """Write the marks; if there are none, delete the file."""
    if not marks:
        (folder / MARKS_FILE).unlink(missing_ok=True)
        return
    write_text_atomic(folder / MARKS_FILE, marks_text(marks))


def marks_text(marks: Mapping[str, Mark]) -> str:
    """Content of the file: one line per image."""
    lists = {mark: sorted(name for name, given in marks.items() if given == mark) for mark in MARKS}
    return json.dumps({mark: names for mark, names in lists.items() if names}, ensure_ascii=False, indent=1) + "\n"
