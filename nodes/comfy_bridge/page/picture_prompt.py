"""The positive prompt of a generated picture, from the workflow that ComfyUI stores in the file."""

import json
from contextlib import closing
from pathlib import Path
from typing import Any

from PIL import Image

TEXT_INPUTS = ("text", "text_g", "prompt", "value", "string")
EXIF_MODEL = 0x0110
"""Tag where ComfyUI's nodes for WebP and JPEG store `prompt:{...}`."""
MAX_NODES = 2000

Graph = dict[str, dict[str, Any]]


def prompt_of_picture(path: Path, node_id: str = "") -> str:
    """The prompt on one line; empty if the file contains no workflow, or none with a prompt.

    `node_id` is the node that shows the picture. A file from another workflow may have another node with that id, or
    none; without a prompt there, the first node with one is used.
    """
    graph = _graph_of(path)
    starts = [node_id, *graph]
    return next((text for start in starts if (text := _prompt_behind(graph, start))), "")


def _graph_of(path: Path) -> Graph:
    try:
        with closing(Image.open(path)) as image:
            written = image.info.get("prompt") or _from_exif(image)
        found: Any = json.loads(written) if isinstance(written, str) else {}
    except (OSError, ValueError, RecursionError, SyntaxError):
        return {}
    nodes = found.items() if isinstance(found, dict) else ()
    return {key: node for key, node in nodes if isinstance(node, dict) and isinstance(node.get("inputs"), dict)}


def _from_exif(image: Image.Image) -> str:
    text = str(image.getexif().get(EXIF_MODEL, ""))
    return text.removeprefix("prompt:") if text.startswith("prompt:") else ""


def _prompt_behind(graph: Graph, start: str) -> str:
    """The nearest text when following the inputs backwards, `positive` before others, `negative` never."""
    wanted, seen = [start], set[str]()
    while wanted and len(seen) < MAX_NODES:
        following: list[str] = []
        for key in wanted:
            if key in seen or key not in graph:
                continue
            seen.add(key)
            inputs: dict[str, Any] = graph[key]["inputs"]
            texts = (inputs[name] for name in TEXT_INPUTS if isinstance(inputs.get(name), str))
            text = "" if key == start else next((" ".join(text.split()) for text in texts if text.strip()), "")
            if text:
                return text
            links = {name: str(value[0]) for name, value in inputs.items() if isinstance(value, list) and value}
            links.pop("negative", None)
            following += sorted(links.values(), key=lambda target: target != links.get("positive"))
        wanted = following
    return ""
