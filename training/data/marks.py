"""What single images of a folder are for: to measure with, or to keep the model from forgetting their class.

The marks lie in the folder itself, in `marks.json`, so that they travel with the images and can be read and edited:

    {"regularization": ["cat1.png"], "validation": ["10_fox/3.png"]}

Names are paths below the folder, with `/`. Names of images that are not there (any more) mean nothing.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal, cast

from ..files.atomic import write_text_atomic

Mark = Literal["regularization", "validation"]
REGULARIZATION: Final = "regularization"
VALIDATION: Final = "validation"
MARKS = (REGULARIZATION, VALIDATION)
MARKS_FILE = "marks.json"


def read_marks(folder: Path) -> dict[str, Mark]:
    """Marks by image name; empty without a file.

    Raises:
        ValueError: The file is no JSON of that form.
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
        found: Any = json.loads(text)
    except ValueError:
        raise _unreadable(folder) from None
    if not isinstance(found, dict):
        raise _unreadable(folder)
    lists = cast(dict[str, Any], found)
    for key, names in lists.items():
        if key not in MARKS or not isinstance(names, list):
            raise _unreadable(folder)
        if not all(isinstance(name, str) for name in cast(list[Any], names)):
            raise _unreadable(folder)
    return cast(dict[Mark, list[str]], lists)


def _unreadable(folder: Path) -> ValueError:
    form = json.dumps({mark: ["name.png"] for mark in MARKS})
    return ValueError(f"{folder.name}/{MARKS_FILE} must have the form {form}; mend it, or delete it to mark anew")


def write_marks(folder: Path, marks: Mapping[str, Mark]) -> None:
    """Writes the marks; without any, no file is left."""
    if not marks:
        (folder / MARKS_FILE).unlink(missing_ok=True)
        return
    write_text_atomic(folder / MARKS_FILE, marks_text(marks))


def marks_text(marks: Mapping[str, Mark]) -> str:
    """What the file says: a line an image."""
    lists = {mark: sorted(name for name, given in marks.items() if given == mark) for mark in MARKS}
    return json.dumps({mark: names for mark, names in lists.items() if names}, ensure_ascii=False, indent=1) + "\n"
