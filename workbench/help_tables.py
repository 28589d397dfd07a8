"""The tables of inputs in the help pages `js/docs/`: written from the nodes, so that each text stands once.

A page holds its tables between two comments. Label, text and default come from the node (in Chinese pages from
`locales/zh`); the column of usual values is the page's own, and writing the tables again keeps it.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REGION = re.compile(r"<!-- inputs: .*?-->\n.*?<!-- end of inputs -->", re.DOTALL)
CELLS = re.compile(r"(?<!\\)\|")
CONNECTED = {"BOOLEAN", "INT", "FLOAT", "STRING", "COMBO"}
"""Types of inputs that are widgets; all others are sockets."""
FROM_DISK = {("BakeryLoadDataset", "folder")}
"""Choices whose default is the first thing found on the disk."""


@dataclass(frozen=True)
class Words:
    """What a table says by itself in one language."""

    opening: str
    headings: tuple[str, str, str, str]
    advanced: str
    required: str
    first_required: str
    not_connected: str
    empty: str
    first_found: str
    on: str
    off: str


ENGLISH = Words(
    "<!-- inputs: written by `python dev.py texts`; edit the column Usual here, all else in the node -->",
    ("Input", "What it does", "Usual", "Default"), "### Advanced inputs",
    "required", "the first is required", "not connected", "empty", "first found", "on", "off",
)  # fmt: skip
CHINESE = Words(
    "<!-- inputs: 由 `python dev.py texts` 生成；这里只改“常用值”一列，其余改 locales/zh -->",
    ("输入", "作用", "常用值", "默认"), "### 高级输入",
    "必接", "第一个必接", "不接", "空", "找到的第一个", "开", "关",
)  # fmt: skip
CLOSING = "<!-- end of inputs -->"


@dataclass(frozen=True)
class Row:
    """One line of a table."""

    ids: str
    name: str
    text: str
    default: str
    is_advanced: bool


def write_tables(page: str, schema: Any, words: Words, texts: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """Return a help page with the tables of its node brought up to date.

    Args:
        page: the page's Markdown; the usual values in it are kept.
        schema: the node's schema.
        words: the language of the page.
        texts: input id -> name and tooltip in that language; None takes the schema's.

    Raises ValueError if the page has no place for the tables.
    """
    if len(REGION.findall(page)) != 1:
        raise ValueError(f"{schema.node_id}: the help page needs `{ENGLISH.opening}` and `{CLOSING}` once each")
    rows = table_rows(schema, words, texts)
    usual = usual_values(page)
    parts = [words.opening, ""]
    for is_advanced in (False, True):
        chosen = [row for row in rows if row.is_advanced == is_advanced]
        if chosen:
            parts += [words.advanced, ""] if is_advanced else []
            parts += [*_table(chosen, usual, words), ""]
    text = "\n".join([*parts, CLOSING])
    return REGION.sub(lambda _: text, page)


def usual_values(page: str) -> dict[str, str]:
    """Return the usual values in a page's tables by the ids of their lines."""
    lines = (line for line in page.splitlines() if line.startswith("| `"))
    cells = ([cell.strip() for cell in CELLS.split(line)[1:-1]] for line in lines)
    return {"`".join(row[0].split("`")[:-1]) + "`": row[2] for row in cells if len(row) == 4}


def table_rows(schema: Any, words: Words, texts: Mapping[str, Mapping[str, str]] | None = None) -> list[Row]:
    """Return the lines of a node's tables; inputs that are numbered and say the same share a line."""
    rows = []
    for same in _numbered_together(schema.inputs):
        first, last = same[0], same[-1]
        given = (texts or {}).get(first.id, {})
        ids = " … ".join(dict.fromkeys((f"`{first.id}`", f"`{last.id}`")))
        own = first.display_name if texts is None and first.display_name != first.id else ""
        name = given.get("name", own) if len(same) == 1 else ""
        default = words.first_required if len(same) > 1 and _is_required(first) else default_text(first, words)
        default = words.first_found if (schema.node_id, first.id) in FROM_DISK else default
        text = (given.get("tooltip") or first.tooltip).replace("|", r"\|").replace("*", r"\*").replace("\n", " ")
        rows.append(Row(ids, name or "", text, default, bool(first.advanced)))
    return rows


def _numbered_together(inputs: Sequence[Any]) -> list[list[Any]]:
    """Groups `name_1`, `name_2`, ... of the same tooltip; every other input is a group of its own."""
    groups: dict[tuple[str, str], list[Any]] = {}
    for item in inputs:
        stem, _, number = item.id.rpartition("_")
        key = (stem, item.tooltip) if stem and number.isdigit() else (item.id, "")
        groups.setdefault(key, []).append(item)
    return list(groups.values())


def _is_required(item: Any) -> bool:
    return item.get_io_type() not in CONNECTED and not item.optional


def default_text(item: Any, words: Words) -> str:
    """Return what an input has where nothing is set or connected, as a table shows it."""
    if item.get_io_type() not in CONNECTED:
        return words.required if _is_required(item) else words.not_connected
    value = item.default
    if value == "":
        return words.empty
    if isinstance(value, bool):
        return words.on if value else words.off
    return f"`{value:g}`" if isinstance(value, float) else f"`{value}`"


def _table(rows: Sequence[Row], usual: Mapping[str, str], words: Words) -> list[str]:
    """The Markdown of a table; without the column of usual values where none is known."""
    values = [usual.get(row.ids, "-") for row in rows]
    has_usual = any(value != "-" for value in values)
    cells = [
        (f"{row.ids} {row.name}".strip(), row.text, *((value,) if has_usual else ()), row.default)
        for row, value in zip(rows, values, strict=True)
    ]
    headings = words.headings if has_usual else (*words.headings[:2], words.headings[3])
    return [_line(headings), _line(["---"] * len(headings)), *(_line(row) for row in cells)]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
