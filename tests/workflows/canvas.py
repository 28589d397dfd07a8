"""Composes workflows in the form the canvas saves, from nodes given as Python: `python tests/workflows` writes all.

Sizes and places are laid out by column; widget values are in the order of the node's description, as the page saves
them, so that an example can be made again whenever a node gains an input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..host.workflow import DYNAMIC_COMBO, NEVER, WIDGET_TYPES, Widget, widgets

COLUMN_WIDTH, NODE_WIDTH, TITLE_HEIGHT, ROW_HEIGHT, GAP = 380, 320, 30, 24, 40
TEXT_ROWS = 4


@dataclass(frozen=True, slots=True)
class Port:
    """An output of a node on the canvas."""

    node: int
    slot: int
    type: str


@dataclass
class Canvas:
    """A workflow being composed."""

    object_info: Mapping[str, Any]
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    groups: list[dict[str, Any]] = field(default_factory=list)
    _heights: dict[int, float] = field(default_factory=dict)

    def add(
        self, node_type: str, column: int, title: str | None = None, is_muted: bool = False, **inputs: Any
    ) -> list[Port]:
        """Adds a node below the others of its column; inputs are values or ports. Returns its outputs.

        Raises KeyError for an unknown node and ValueError for an input it does not have.
        """
        info = self.object_info[node_type]
        specs = {**info["input"].get("required", {}), **info["input"].get("optional", {})}
        unknown = {name for name in inputs if name.partition(".")[0] not in specs}
        if unknown:
            raise ValueError(f"{node_type} has no input {', '.join(sorted(unknown))}; it has {', '.join(specs)}")
        node_id = len(self.nodes) + 1
        slots: list[dict[str, Any]] = []
        for name, spec in specs.items():
            kind, given = _kind(spec), inputs.get(name)
            if isinstance(given, Port):
                slots.append({"name": name, "type": given.type, "link": self._link(given, node_id, len(slots))})
                if kind in WIDGET_TYPES:
                    slots[-1]["widget"] = {"name": name}
            elif kind not in WIDGET_TYPES and kind != DYNAMIC_COMBO:
                slots.append({"name": name, "type": kind, "link": None})
        values = _values(widgets(info["input"]), inputs)
        outputs = [
            {"name": name, "type": kind, "links": []}
            for name, kind in zip(info["output_name"], info["output"], strict=True)
        ]
        height = _height(slots, specs)
        node = {
            "id": node_id, "type": node_type, "pos": self._place(column, height), "size": [NODE_WIDTH, height],
            "flags": {}, "order": node_id - 1, "mode": NEVER if is_muted else 0, "inputs": slots, "outputs": outputs,
            "properties": {"Node name for S&R": node_type}, "widgets_values": values,
        }  # fmt: skip
        if title:
            node["title"] = title
        self.nodes.append(node)
        return [Port(node_id, slot, output["type"]) for slot, output in enumerate(outputs)]

    def note(self, column: int, text: str, height: int = 260) -> None:
        """Adds a note in Markdown."""
        node_id = len(self.nodes) + 1
        self.nodes.append(
            {
                "id": node_id, "type": "MarkdownNote", "pos": self._place(column, height),
                "size": [NODE_WIDTH, height], "flags": {}, "order": node_id - 1, "mode": 0, "inputs": [],
                "outputs": [], "properties": {}, "widgets_values": [text], "color": "#432", "bgcolor": "#000",
            }
        )  # fmt: skip

    def workflow(self) -> dict[str, Any]:
        """The workflow as the page saves it."""
        return {
            "id": "00000000-0000-0000-0000-000000000000", "revision": 0, "last_node_id": len(self.nodes),
            "last_link_id": len(self.links), "nodes": self.nodes, "links": self.links, "groups": self.groups,
            "config": {}, "extra": {}, "version": 0.4,
        }  # fmt: skip

    def _link(self, port: Port, node_id: int, slot: int) -> int:
        link_id = len(self.links) + 1
        self.links.append([link_id, port.node, port.slot, node_id, slot, port.type])
        self.nodes[port.node - 1]["outputs"][port.slot]["links"].append(link_id)
        return link_id

    def _place(self, column: int, height: float) -> list[float]:
        top = self._heights.get(column, 0.0)
        self._heights[column] = top + height + TITLE_HEIGHT + GAP
        return [column * COLUMN_WIDTH, top]


def _kind(spec: list[Any]) -> str:
    return "COMBO" if isinstance(spec[0], list) else spec[0]


def _values(wanted: list[Widget], inputs: Mapping[str, Any]) -> list[Any]:
    values: list[Any] = []
    for widget in wanted:
        given = inputs.get(widget.name)
        value = widget.default if given is None or isinstance(given, Port) else given
        values.append(value)
        if widget.has_control:
            values.append("fixed")
        chosen = next((option for option in widget.options if option["key"] == value), None)
        if chosen is not None:
            values += _values(widgets(chosen["inputs"], prefix=f"{widget.name}."), inputs)
    return values


def _height(slots: list[Any], specs: Mapping[str, Any]) -> float:
    shown = [spec for spec in specs.values() if _kind(spec) in WIDGET_TYPES]
    rows = len(slots) + sum(TEXT_ROWS if len(spec) > 1 and spec[1].get("multiline") else 1 for spec in shown)
    return max(60.0, rows * ROW_HEIGHT + 40.0)
