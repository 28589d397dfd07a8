"""Writes `docs/files.md`: every file of the pack with the first sentence it says of itself."""

import ast
import re
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from ..tests.support.paths import ROOT

PAGE = ROOT / "docs" / "files.md"
ROOMS = ("training", "nodes", "js")
HEADER = """# Every file

Written by `python dev.py texts` from the first sentence of each file. [Architecture](architecture.md) is the map with
the layers, the way of the data and where typical changes go.
"""


def list_of_files() -> str:
    """Return the page: a table for each folder."""
    files = [path for room in ROOMS for path in _sources(ROOT / room)]
    tables = [
        "\n".join([f"## {folder.as_posix()}/", "", "| file | what it holds |", "| --- | --- |", *map(_row, members)])
        for folder, members in groupby(files, key=lambda path: path.parent.relative_to(ROOT))
    ]
    return "\n\n".join([HEADER.rstrip(), *tables]) + "\n"


def _sources(room: Path) -> Iterator[Path]:
    found = [path for path in room.rglob("*") if path.suffix in (".py", ".js") and path.name != "__init__.py"]
    return iter(sorted(found, key=lambda path: (path.parent, path.name)))


def _row(path: Path) -> str:
    return f"| `{path.name}` | {first_sentence(path)} |"


def first_sentence(path: Path) -> str:
    """Return what a Python file's docstring or a JavaScript file's first comment begins with."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        said = ast.get_docstring(ast.parse(text)) or ""
    else:
        lines = [line.removeprefix("// ") for line in text.splitlines() if not line.startswith("// @ts-check")]
        said = " ".join(line for line in lines[:3] if line and not line.startswith(("import", "export", "/")))
    paragraph = " ".join(said.split("\n\n")[0].split())
    sentence = re.match(r".*?\.(?=\s|$)", paragraph)
    return (sentence.group() if sentence else paragraph).rstrip(".:").replace("|", "\\|")
