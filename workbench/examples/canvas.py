"""Composes workflows in the form the canvas saves, from nodes given as Python: `python dev.py workflows` writes all.

Nodes are given by column and laid out at the end; widget values are in the order of the node's description, as the page
saves them, so that an example can be made again whenever a node gains an input.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...tests.support.workflow import DYNAMIC_COMBO, NEVER, WIDGET_TYPES, Widget, widgets
from .layout import frame, lay_out, node_size, note_size


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
    is_small: bool = False
    """For the pocket model, whose pictures, rates and lengths are far from those of a real checkpoint."""
    nodes: list[dict[str, Any]] = field(default_factory=list)
    links: list[list[Any]] = field(default_factory=list)
    _groups: list[tuple[str, int, int]] = field(default_factory=list)
    """Title, first and last node."""
    _columns: dict[int, list[dict[str, Any]]] = field(default_factory=dict)

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
        num_sockets = max(len(outputs), sum("widget" not in slot for slot in slots))
        node = {
            "id": node_id, "type": node_type, "pos": [0, 0],
            "size": node_size(node_type, num_sockets, len(values), _num_texts(specs, inputs)),
            "flags": {}, "order": node_id - 1, "mode": NEVER if is_muted else 0, "inputs": slots, "outputs": outputs,
            "properties": {"Node name for S&R": node_type}, "widgets_values": values,
        }  # fmt: skip
        if title:
            node["title"] = title
        self._append(node, column)
        return [Port(node_id, slot, output["type"]) for slot, output in enumerate(outputs)]

    def pick(self, real: Any, small: Any) -> Any:
        """The first for a real checkpoint, the second for the pocket model."""
        return small if self.is_small else real

    def note(self, column: int, text: str) -> None:
        """Adds a note in Markdown."""
        node_id = len(self.nodes) + 1
        note = {
            "id": node_id, "type": "MarkdownNote", "pos": [0, 0], "size": note_size(text), "flags": {},
            "order": node_id - 1, "mode": 0, "inputs": [], "outputs": [], "properties": {}, "widgets_values": [text],
            "color": "#432", "bgcolor": "#000",
        }  # fmt: skip
        self._append(note, column)

    def muted_group(self, title: str, first_node: int) -> None:
        """Frames this node and all that were added after it; switched off together, and on by the frame's menu."""
        self._groups.append((title, first_node, len(self.nodes)))
        for node in self.nodes[first_node - 1 :]:
            node["mode"] = NEVER

    def lay_out(self) -> int:
        """Gives every node its place; returns the right edge."""
        return lay_out([nodes for _, nodes in sorted(self._columns.items())])

    def workflow(self) -> dict[str, Any]:
        """The workflow as the page saves it."""
        self.lay_out()
        return {
            "id": "00000000-0000-0000-0000-000000000000", "revision": 0, "last_node_id": len(self.nodes),
            "last_link_id": len(self.links), "nodes": self.nodes, "links": self.links,
            "groups": [self._frame(number, *group) for number, group in enumerate(self._groups, start=1)],
            "config": {}, "extra": {}, "version": 0.4,
        }  # fmt: skip

    def _frame(self, number: int, title: str, first: int, last: int) -> dict[str, Any]:
        bounding = frame([node for node in self.nodes if first <= node["id"] <= last])
        return {"id": number, "title": title, "bounding": bounding, "color": "#3f789e", "font_size": 24, "flags": {}}

    def _append(self, node: dict[str, Any], column: int) -> None:
        self.nodes.append(node)
        self._columns.setdefault(column, []).append(node)

    def _link(self, port: Port, node_id: int, slot: int) -> int:
        link_id = len(self.links) + 1
        self.links.append([link_id, port.node, port.slot, node_id, slot, port.type])
        self.nodes[port.node - 1]["outputs"][port.slot]["links"].append(link_id)
        return link_id


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


def _num_texts(specs: Mapping[str, Any], inputs: Mapping[str, Any]) -> int:
    """How many of a node's values are texts of several lines, not counting linked ones."""
    typed = (spec for name, spec in specs.items() if not isinstance(inputs.get(name), Port))
    return sum(len(spec) > 1 and bool(spec[1].get("multiline")) for spec in typed)
