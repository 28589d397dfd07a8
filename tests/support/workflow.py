"""Turns a saved workflow (what the canvas shows) into API form (what is queued), as ComfyUI's page does.

A saved node holds the values of its widgets in a bare list; which widget a value belongs to follows from the node's
description in /object_info. A seed is followed by its "control after generate", which is not sent; widgets that a node
got since it was saved have their defaults, earlier ones where those changed. Nodes that exist only on the page (notes,
reroutes, primitives) and muted ones vanish; bypassed ones pass a link of the same type on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .client import Prompt

NEVER, BYPASS = 2, 4
WIDGET_TYPES = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COLOR"}
DYNAMIC_COMBO = "COMFY_DYNAMICCOMBO_V3"
PAGE_ONLY_TYPES = {"Note", "MarkdownNote", "Reroute", "PrimitiveNode"}


_MISSING = object()
EMPTY = {"INT": 0, "FLOAT": 0.0, "STRING": "", "BOOLEAN": False}


class WorkflowError(ValueError):
    """The workflow cannot be converted."""


@dataclass(frozen=True, slots=True)
class Link:
    """A wire from an output slot to an input slot."""

    origin: str
    origin_slot: int
    target: str
    target_slot: int


@dataclass(frozen=True, slots=True)
class Widget:
    """A widget that a node's description asks for."""

    name: str
    default: Any = None
    has_control: bool = False
    """Followed by a "control after generate" value."""
    options: tuple[dict[str, Any], ...] = ()
    """Choices of a dynamic combo, each with inputs of its own."""
    unsaved: Any = None
    """Value of a node that was saved without it."""


def to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> Prompt:
    """Return the API form of a workflow.

    Raises:
        WorkflowError: a node is unknown.
    """
    graph = _Graph(workflow)
    prompt: Prompt = {}
    for node in workflow["nodes"]:
        if node.get("mode", 0) in (NEVER, BYPASS) or node["type"] in PAGE_ONLY_TYPES:
            continue
        if node["type"] not in object_info:
            raise WorkflowError(f"node {node['id']}: {node['type']} is not installed")
        inputs = {**_widget_values(node, object_info[node["type"]]), **graph.linked_inputs(node)}
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs}
    return prompt


class _Graph:
    def __init__(self, workflow: dict[str, Any]) -> None:
        self.nodes = {str(node["id"]): node for node in workflow["nodes"]}
        self.links = {link_id: link for link_id, link in map(_read_link, workflow["links"])}

    def linked_inputs(self, node: dict[str, Any]) -> dict[str, Any]:
        inputs: dict[str, Any] = {}
        for slot in node.get("inputs") or []:
            link = self.links.get(slot.get("link"))
            value = None if link is None else self._value_of(link)
            if value is not None:
                inputs[slot["name"]] = value
        return inputs

    def _value_of(self, link: Link) -> Any:
        """Return what arrives through a link: [node id, slot], a primitive's value, or None."""
        node = self.nodes.get(link.origin)
        if node is None or node.get("mode", 0) == NEVER:
            return None
        if node["type"] == "PrimitiveNode":
            return node["widgets_values"][0]
        if node["type"] == "Reroute":
            return self._passed_on(node, 0)
        if node.get("mode", 0) == BYPASS:
            slot = self._bypass_slot(node, link.origin_slot)
            return None if slot is None else self._passed_on(node, slot)
        return [link.origin, link.origin_slot]

    def _passed_on(self, node: dict[str, Any], slot: int) -> Any:
        link = self.links.get(node["inputs"][slot].get("link"))
        return None if link is None else self._value_of(link)

    @staticmethod
    def _bypass_slot(node: dict[str, Any], output_slot: int) -> int | None:
        """Return the input that a bypassed node passes on: at the same place if the types agree, else the first fit."""
        wanted = node["outputs"][output_slot]["type"]
        types = [slot["type"] for slot in node.get("inputs") or []]
        order = sorted(range(len(types)), key=lambda slot: slot != output_slot)
        return next((slot for slot in order if types[slot] == wanted), None)


def _read_link(link: Any) -> tuple[int, Link]:
    if isinstance(link, dict):
        return link["id"], Link(
            str(link["origin_id"]), link["origin_slot"], str(link["target_id"]), link["target_slot"]
        )
    link_id, origin, origin_slot, target, target_slot = link[:5]
    return link_id, Link(str(origin), origin_slot, str(target), target_slot)


def _widget_values(node: dict[str, Any], description: dict[str, Any]) -> dict[str, Any]:
    saved = node.get("widgets_values") or []
    if isinstance(saved, dict):
        return {widget.name: saved[widget.name] for widget in widgets(description["input"]) if widget.name in saved}
    return dict(_assigned(widgets(description["input"]), iter(saved)))


def misfit(node: dict[str, Any], description: dict[str, Any]) -> str:
    """Return what is wrong with the number of values a saved node holds, or an empty string."""
    saved = node.get("widgets_values") or []
    if isinstance(saved, dict):
        return ""
    remaining = iter([*saved, *[_MISSING] * 100])
    taken = len(_assigned(widgets(description["input"]), remaining))
    num_taken = len(saved) + 100 - len(list(remaining))
    return "" if num_taken == len(saved) else f"{len(saved)} values saved, {num_taken} wanted for {taken} widgets"


def _assigned(wanted: list[Widget], saved: Iterator[Any]) -> list[tuple[str, Any]]:
    assigned: list[tuple[str, Any]] = []
    for widget in wanted:
        value = next(saved, widget.unsaved)
        assigned.append((widget.name, value))
        if widget.has_control:
            next(saved, None)
        chosen = next((option for option in widget.options if option["key"] == value), None)
        if chosen is not None:
            assigned += _assigned(widgets(chosen["inputs"], prefix=f"{widget.name}."), saved)
    return assigned


def widgets(inputs: dict[str, dict[str, Any]], prefix: str = "") -> list[Widget]:
    """Return the widgets that a description of inputs ({required, optional}) leads to, in the order they are saved."""
    found: list[Widget] = []
    for group in ("required", "optional"):
        for name, spec in (inputs.get(group) or {}).items():
            kind, settings = spec[0], (spec[1] if len(spec) > 1 else {})
            is_widget = isinstance(kind, list) or kind in WIDGET_TYPES or kind == DYNAMIC_COMBO
            if not is_widget or settings.get("forceInput"):
                continue
            found.append(_widget(prefix + name, kind, settings))
    return found


def _widget(name: str, kind: Any, settings: dict[str, Any]) -> Widget:
    is_seed = kind == "INT" and name.rpartition(".")[2] in ("seed", "noise_seed")
    has_control = bool(settings.get("control_after_generate", is_seed))
    if kind == DYNAMIC_COMBO:
        choices = tuple(settings["options"])
        return Widget(name, choices[0]["key"], has_control, choices, choices[0]["key"])
    choices = kind if isinstance(kind, list) else settings.get("options") or []
    default = settings.get("default", choices[0] if choices else EMPTY.get(str(kind)))
    return Widget(name, default, has_control, unsaved=settings.get("earlier_default", default))
