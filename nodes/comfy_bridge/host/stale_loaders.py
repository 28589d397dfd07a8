"""Finds loaders in a graph that may have read a LoRA's file before the run in the same graph rewrote it.

When a queue starts, the host decides which nodes run, in any order that the links allow. Its own loaders check their
file at the next queue (`fresh_loaders`); those of other packs may keep what they once read.
"""

from collections.abc import Mapping
from pathlib import Path

import folder_paths

from .fresh_loaders import notices_changes

OURS = "Bakery"
CONNECT = "connect the model and clip of this node instead"


def stale_note(prompt: Mapping[str, object] | None, root: Path) -> str:
    """A note for the user after a file of the run was written; empty if nothing else loads one."""
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
    """`Node (id)` of every node of other packs that loads a LoRA by a name below a run's folder.

    True for those that notice a changed file at the next queue.
    """
    loaders = ((node_id, str(_part(prompt, node_id, "class_type"))) for node_id in prompt)
    return {
        f"{kind} ({node_id})": notices_changes(kind)
        for node_id, kind in loaders
        if not kind.startswith(OURS) and _loads_below(prompt, node_id, root)
    }


def check_not_on_itself(prompt: Mapping[str, object] | None, node_id: str, root: Path) -> None:
    """Refuses to train a run on top of its own LoRA: each queue would train again, from what the one before left.

    Raises:
        ValueError: A node that the model, the CLIP or the LoRA of the Train node comes through loads a file of the run.
    """
    graph = prompt or {}
    for name in ("model", "clip", "lora"):
        source = _loader_above(graph, _inputs(graph, node_id).get(name), root)
        if source is None:
            continue
        kind = f"{_part(graph, source, 'class_type')} ({source})"
        if name == "lora":
            raise ValueError(
                f"lora: {kind} loads a LoRA of this run's own name, which the run replaces, so each queue would start "
                "over from the previous result. To train it further, disconnect lora and raise steps: the run resumes "
                f"on its own. To begin another run from {root.name!r}, give that run another name"
            )
        raise ValueError(
            f"model: {kind} applies this run's own LoRA, so each queue would train on top of the last one. Connect "
            "the checkpoint itself: the run resumes on its own. "
            f"To train on top of {root.name!r}, give the new run another name"
        )


def _loader_above(prompt: Mapping[str, object], link: object, root: Path) -> str | None:
    """Id of a node from which a link comes, however far, that loads a LoRA below a run's folder."""
    links, seen = [link], set[str]()
    while links:
        link = links.pop()
        if not isinstance(link, list) or not link or str(link[0]) in seen:
            continue
        source = str(link[0])
        seen.add(source)
        if _loads_below(prompt, source, root):
            return source
        links += _inputs(prompt, source).values()
    return None


def _inputs(prompt: Mapping[str, object], node_id: str) -> Mapping[str, object]:
    found = _part(prompt, node_id, "inputs")
    return found if isinstance(found, Mapping) else {}


def _part(prompt: Mapping[str, object], node_id: str, name: str) -> object:
    node = prompt.get(node_id)
    return node.get(name, "") if isinstance(node, Mapping) else ""


def _loads_below(prompt: Mapping[str, object], node_id: str, root: Path) -> bool:
    return any(_is_below(value, root) for value in _inputs(prompt, node_id).values())


def _is_below(value: object, root: Path) -> bool:
    if not isinstance(value, str) or not value.endswith(".safetensors"):
        return False
    path = folder_paths.get_full_path("loras", value)
    # The same folder may be reached by a link, or with other letter case.
    return path is not None and root.is_dir() and Path(path).parent.samefile(root)
