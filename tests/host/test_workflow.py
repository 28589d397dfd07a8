"""Saved workflows become what the page would queue."""

from typing import Any

import pytest
from pack.tests.support.workflow import WorkflowError, misfit, to_api

SAMPLER_INPUTS = {
    "required": {
        "model": ["MODEL"],
        "seed": ["INT", {"default": 0, "control_after_generate": True}],
        "steps": ["INT", {"default": 20}],
        "sampler": [["euler", "ddim"], {}],
        "name": ["STRING", {"forceInput": True}],
        "denoise": ["FLOAT", {"default": 1.0}],
    },
    "optional": {"label": ["STRING", {"default": "x"}]},
}
OBJECT_INFO = {
    "Load": {"input": {"required": {}}},
    "Patch": {"input": {"required": {"clip": ["CLIP"], "model": ["MODEL"], "amount": ["FLOAT", {"default": 0.5}]}}},
    "Sample": {"input": SAMPLER_INPUTS},
    "Pick": {"input": {"required": {"mode": ["COMFY_DYNAMICCOMBO_V3", {"options": []}]}}},
}
OBJECT_INFO["Pick"]["input"]["required"]["mode"][1]["options"] = [
    {"key": "plain", "inputs": {"required": {}}},
    {"key": "fine", "inputs": {"required": {"depth": ["INT", {"default": 3}]}}},
]


def node(node_id: int, kind: str, values: Any = None, links: dict[str, int] | None = None, **more: Any) -> dict:
    inputs = [{"name": name, "type": name.upper(), "link": link} for name, link in (links or {}).items()]
    outputs = [{"name": "MODEL", "type": "MODEL"}]
    return {"id": node_id, "type": kind, "widgets_values": values, "inputs": inputs, "outputs": outputs, **more}


def workflow(*nodes: dict, links: list[list] | None = None) -> dict[str, Any]:
    return {"nodes": list(nodes), "links": links or []}


def convert(*nodes: dict, links: list[list] | None = None) -> dict[str, Any]:
    return {name: entry["inputs"] for name, entry in to_api(workflow(*nodes, links=links), OBJECT_INFO).items()}


def test_values_follow_the_description_and_the_seeds_control_is_left_out():
    assert convert(node(1, "Sample", [7, "randomize", 30, "ddim", 0.5, "hello"])) == {
        "1": {"seed": 7, "steps": 30, "sampler": "ddim", "denoise": 0.5, "label": "hello"}
    }


def test_widgets_newer_than_the_file_have_their_defaults():
    assert convert(node(1, "Sample", [7, "fixed", 30])) == {
        "1": {"seed": 7, "steps": 30, "sampler": "euler", "denoise": 1.0, "label": "x"}
    }


def test_a_wire_replaces_the_widget_it_ends_in():
    inputs = convert(node(1, "Load"), node(2, "Pick", ["plain"], {"mode": 9}), links=[[9, 1, 0, 2, 0, "STRING"]])
    assert inputs["2"] == {"mode": ["1", 0]}


def test_choice_brings_its_own_inputs():
    assert convert(node(1, "Pick", ["fine", 5])) == {"1": {"mode": "fine", "mode.depth": 5}}
    assert convert(node(1, "Pick", ["plain"])) == {"1": {"mode": "plain"}}


def test_reroutes_and_bypassed_nodes_pass_the_wire_on():
    nodes = [
        node(1, "Load"),
        node(2, "Reroute", links={"model": 10}),
        node(3, "Patch", [0.1], {"clip": 0, "model": 11}, mode=4),
        node(4, "Sample", [7, "fixed", 30, "euler", 1.0, "x"], {"model": 12}),
    ]
    links = [[10, 1, 0, 2, 0, "MODEL"], [11, 2, 0, 3, 1, "MODEL"], [12, 3, 0, 4, 0, "MODEL"]]
    inputs = convert(*nodes, links=links)
    assert set(inputs) == {"1", "4"}
    assert inputs["4"]["model"] == ["1", 0]


def test_muted_nodes_leave_no_wire_and_primitives_their_value():
    nodes = [
        node(1, "Load", mode=2),
        node(2, "PrimitiveNode", [99, "fixed"]),
        node(3, "Sample", [7, "fixed", 30, "euler", 1.0, "x"], {"model": 10, "seed": 11}),
        node(4, "Note", ["read me"]),
    ]
    links = [[10, 1, 0, 3, 0, "MODEL"], [11, 2, 0, 3, 1, "INT"]]
    inputs = convert(*nodes, links=links)
    assert set(inputs) == {"3"}
    assert "model" not in inputs["3"]
    assert inputs["3"]["seed"] == 99


def test_unknown_node_is_named():
    with pytest.raises(WorkflowError, match="node 1.*Mystery"):
        convert(node(1, "Mystery"))


def test_misfit_counts_values():
    assert misfit(node(1, "Sample", [7, "fixed", 30, "euler", 1.0, "x"]), OBJECT_INFO["Sample"]) == ""
    assert "3 values saved, 6 wanted" in misfit(node(1, "Sample", [7, "fixed", 30]), OBJECT_INFO["Sample"])
    assert misfit(node(1, "Patch", [0.1, 0.2]), OBJECT_INFO["Patch"]) != ""
