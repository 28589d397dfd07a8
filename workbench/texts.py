"""Where texts go: writes the tables of the help pages and the list of files, says what the Chinese texts lack.

A node's schema holds its English texts, which ComfyUI shows as they are; `locales/zh/nodeDefs.json` holds the Chinese
ones: node id -> display_name, description, inputs by name, outputs by number.

Run it with `python dev.py texts`.
"""

import asyncio
import json
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..tests.support.inprocess import import_comfyui, pack_nodes
from ..tests.support.paths import ROOT, comfyui_folder
from .file_list import PAGE, list_of_files
from .help_tables import CHINESE, ENGLISH, write_tables

CHINESE_TEXTS = ROOT / "locales" / "zh" / "nodeDefs.json"
DOCS = ROOT / "js" / "docs"


def node_schemas() -> list[Any]:
    """Return the schemas of all nodes, by id."""
    return sorted((node.GET_SCHEMA() for node in asyncio.run(pack_nodes())), key=lambda schema: schema.node_id)


def english(schemas: Sequence[Any]) -> dict[str, Any]:
    """Return the nodes' English texts in the form of a nodeDefs.json."""
    return {schema.node_id: _node(schema) for schema in schemas}


def _node(schema: Any) -> dict[str, Any]:
    node: dict[str, Any] = {"display_name": schema.display_name, "description": schema.description}
    inputs = {item.id: _socket(item.display_name or item.id, item.tooltip) for item in schema.inputs}
    outputs = {
        str(index): _socket(item.display_name or item.id or item.io_type, item.tooltip)
        for index, item in enumerate(schema.outputs)
    }
    return {**node, **({"inputs": inputs} if inputs else {}), **({"outputs": outputs} if outputs else {})}


def _socket(name: str, tooltip: str | None) -> dict[str, str]:
    return {"name": name, **({"tooltip": tooltip} if tooltip else {})}


def chinese() -> dict[str, Any]:
    """Return the nodes' Chinese texts."""
    return json.loads(CHINESE_TEXTS.read_text(encoding="utf-8"))


def leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Return the texts of a nested dict by their path."""
    found: dict[tuple[str, ...], str] = {}
    for key, value in tree.items():
        found |= leaves(value, (*path, key)) if isinstance(value, Mapping) else {(*path, key): value}
    return found


def is_chinese(text: str) -> bool:
    """Return whether a text has Chinese characters."""
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def help_pages(schemas: Sequence[Any]) -> Iterator[tuple[Path, str]]:
    """Yield every help page and its Markdown as the nodes' texts want it."""
    translated = chinese()
    for schema in schemas:
        path = DOCS / f"{schema.node_id}.md"
        yield path, write_tables(path.read_text(encoding="utf-8"), schema, ENGLISH)
        path = DOCS / schema.node_id / "zh.md"
        texts = translated.get(schema.node_id, {}).get("inputs", {})
        yield path, write_tables(path.read_text(encoding="utf-8"), schema, CHINESE, texts)


def main() -> int:
    """Write the tables; print what the Chinese texts lack or have too many, and return whether that is anything."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "run `python dev.py test` once"
    with tempfile.TemporaryDirectory() as base:
        import_comfyui(comfyui, Path(base))
        schemas = node_schemas()
    for path, text in help_pages(schemas):
        path.write_text(text, encoding="utf-8", newline="\n")
    PAGE.write_text(list_of_files(), encoding="utf-8", newline="\n")
    wanted, given = set(leaves(english(schemas))), set(leaves(chinese()))
    for title, keys in (("missing", wanted - given), ("left over", given - wanted)):
        for key in sorted(keys):
            print(f"locales/zh {title}: {'.'.join(key)}")
    return int(wanted != given)


if __name__ == "__main__":
    sys.exit(main())
