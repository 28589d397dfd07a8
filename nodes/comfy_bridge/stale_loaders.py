"""Loaders of a graph that may have read a LoRA's file before the run in the same graph wrote it anew.

The host decides when a queue begins which nodes run, and in any order that its links allow. Its own loaders look at
their file at the next queue (`fresh_loaders`); those of other packs may go on with what they once read.
"""

from collections.abc import Mapping
from pathlib import Path

import folder_paths

from .fresh_loaders import notices_changes

OURS = "Bakery"
CONNECT = "connect the model and clip of this node instead"


def stale_note(prompt: Mapping[str, object] | None, root: Path) -> str:
    """What to tell the user where a file of the run was written; empty where nothing else loads one."""
    loaders = loaders_below(prompt or {}, root)
    later = [name for name, notices in loaders.items() if notices]
    never = [name for name, notices in loaders.items() if not notices]
    notes: list[str] = []
    if later:
        notes.append(f"{', '.join(later)} may have read its file before this run wrote it: queue again, or {CONNECT}")
    if never:
        notes.append(
            f"{', '.join(never)} may still hold an older LoRA of this name: {CONNECT}, or use Load LoRA File and Apply "
            "LoRA, which notice"
        )
    return "\n".join(notes)


def loaders_below(prompt: Mapping[str, object], root: Path) -> dict[str, bool]:
    """`Node (id)` of every node of other makers that loads a LoRA by a name below a run's folder.

    True for those that notice a changed file at the next queue.
    """
    found: dict[str, bool] = {}
    for node_id, node in prompt.items():
        if not isinstance(node, Mapping) or str(node.get("class_type", "")).startswith(OURS):
            continue
        values = node.get("inputs", {})
        if isinstance(values, Mapping) and any(_is_below(value, root) for value in values.values()):
            found[f"{node['class_type']} ({node_id})"] = notices_changes(node["class_type"])
    return found


def _is_below(value: object, root: Path) -> bool:
    if not isinstance(value, str) or not value.endswith(".safetensors"):
        return False
    path = folder_paths.get_full_path("loras", value)
    return path is not None and Path(path).parent == root
