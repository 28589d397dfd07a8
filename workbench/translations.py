"""What there is to translate: as a script, brings locales/en up to date and lists what locales/zh lacks.

ComfyUI reads `locales/<language>/nodeDefs.json`: node id -> display_name, description, inputs by name, outputs by
number. English is taken from the nodes, so that each text is written once.

Run it with `python tests/support/alias.py pack.workbench.translations`.
"""

import asyncio
import json
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from ..tests.support.inprocess import import_comfyui, pack_nodes
from ..tests.support.paths import ROOT, comfyui_folder

LOCALES = ROOT / "locales"


def english() -> dict[str, Any]:
    """Return the English nodeDefs of all nodes."""
    schemas = [node.GET_SCHEMA() for node in asyncio.run(pack_nodes())]
    return {schema.node_id: _node(schema) for schema in sorted(schemas, key=lambda schema: schema.node_id)}


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


def leaves(tree: dict[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], str]:
    """Return the texts of a nested dict by their path."""
    found: dict[tuple[str, ...], str] = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            found |= leaves(value, (*path, key))
        else:
            found[(*path, key)] = value
    return found


def is_chinese(text: str) -> bool:
    """Return whether a text has Chinese characters."""
    return re.search(r"[\u4e00-\u9fff]", text) is not None


def main() -> int:
    """Write the English file; print the paths that the Chinese one lacks or has too many."""
    comfyui = comfyui_folder()
    assert comfyui is not None, "run `python dev.py test` once"
    with tempfile.TemporaryDirectory() as base:
        import_comfyui(comfyui, Path(base))
        texts = english()
    path = LOCALES / "en" / "nodeDefs.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(texts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    chinese = LOCALES / "zh" / "nodeDefs.json"
    given = set(leaves(json.loads(chinese.read_text(encoding="utf-8")))) if chinese.is_file() else set()
    wanted = set(leaves(texts))
    for title, keys in (("missing", wanted - given), ("left over", given - wanted)):
        for key in sorted(keys):
            print(f"zh {title}: {'.'.join(key)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
