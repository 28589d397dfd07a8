"""Loaders of a graph that may still hold what a LoRA file said before it was written anew.

ComfyUI runs a node again only if an input changes, and its own loader reads a file once for as long as the name is the
same. Nothing a node pack may do makes it forget, so the user is told and shown the way that always works.
"""

from collections.abc import Mapping
from pathlib import Path

import folder_paths

OURS = "Bakery"


def stale_loaders(prompt: Mapping[str, object], root: Path) -> list[str]:
    """`Node (id)` of every node of other makers that loads a LoRA by a name below a run's folder."""
    found: list[str] = []
    for node_id, node in prompt.items():
        if not isinstance(node, Mapping) or str(node.get("class_type", "")).startswith(OURS):
            continue
        values = node.get("inputs", {})
        if isinstance(values, Mapping) and any(_is_below(value, root) for value in values.values()):
            found.append(f"{node['class_type']} ({node_id})")
    return found


def stale_note(prompt: Mapping[str, object] | None, root: Path) -> str:
    """What to tell the user where a file of the run was written; empty where nothing else loads one."""
    loaders = stale_loaders(prompt or {}, root)
    if not loaders:
        return ""
    return (
        f"{', '.join(loaders)} may still hold an older LoRA of this name: ComfyUI reads a file once. Connect the model "
        "and clip of this node instead, or Load LoRA File and Apply LoRA, which notice"
    )


def _is_below(value: object, root: Path) -> bool:
    if not isinstance(value, str) or not value.endswith(".safetensors"):
        return False
    path = folder_paths.get_full_path("loras", value)
    return path is not None and Path(path).parent == root
