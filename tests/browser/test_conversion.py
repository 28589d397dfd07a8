"""The tests' own conversion of a workflow to what is queued is the page's."""

import json

import pytest
from pack.tests.support.browser import load_workflow, prompt_of, show_nodes
from pack.tests.support.cases import chosen
from pack.tests.support.old_workflows import old_workflows
from pack.tests.support.paths import ROOT
from pack.tests.support.workflow import to_api

pytestmark = pytest.mark.browser
OLD = old_workflows()


@pytest.fixture(scope="module")
def object_info(server):
    return server.client().object_info()


@pytest.mark.parametrize("path", sorted((ROOT / "example_workflows").glob("*.json")), ids=lambda path: path.stem)
def test_the_page_queues_what_we_convert(page, object_info, path):
    workflow = json.loads(path.read_text(encoding="utf-8"))
    load_workflow(page, workflow)
    queued = {
        node_id: {"class_type": node["class_type"], "inputs": node["inputs"]}
        for node_id, node in prompt_of(page).items()
    }
    assert queued == to_api(workflow, object_info)


@pytest.mark.parametrize("name", chosen(OLD, ["released/train_then_sample"]))
def test_the_page_queues_of_an_old_workflow_what_it_queued_then(page, name):
    """Inputs that a node got since have their defaults."""
    load_workflow(page, on_canvas(OLD[name].workflow))
    queued = prompt_of(page)
    assert queued.keys() == OLD[name].queued.keys()
    for node_id, then in OLD[name].queued.items():
        now = queued[node_id]["inputs"]
        assert {key: now.get(key) for key in then["inputs"]} == then["inputs"], then["class_type"]


AS_SAVED_BEFORE = """() => {
  const { graph } = window.app;
  graph.convertToSubgraph(new Set(graph._nodes.slice(2)));
  const saved = graph.serialize();
  for (const { nodes } of [saved, ...saved.definitions.subgraphs]) {
    for (const node of nodes) if (node.type === "BakeryBuckets") node.widgets_values.length = 11;
  }
  return JSON.stringify(saved);
}"""
API = {"5": {"class_type": "BakeryBuckets", "inputs": {"resolution": 768, "upscale": False}}}


def test_workflows_without_an_input_keep_the_value_that_it_had(page):
    nodes = [["BakeryBuckets", [20, 40], {}], ["BakeryInspectDataset", [500, 40], {}]]
    show_nodes(page, [*nodes, *nodes], [[0, 0, 1, "dataset"], [2, 0, 3, "dataset"]])

    def chosen_in(prompt):
        return [node["inputs"]["nearest_bucket"] for node in prompt.values() if node["class_type"] == "BakeryBuckets"]

    assert chosen_in(prompt_of(page)) == [True, True]
    load_workflow(page, json.loads(page.evaluate(AS_SAVED_BEFORE)))
    assert chosen_in(prompt_of(page)) == [False, False]
    page.evaluate("prompt => window.app.loadApiJson(prompt, 'prompt')", API)
    (node,) = prompt_of(page).values()
    assert node["inputs"] == {**node["inputs"], "resolution": 768, "upscale": False, "nearest_bucket": False}


def on_canvas(workflow):
    """The workflow with places, which are not part of the fixture."""
    nodes = [
        {"pos": [400 * number, 0], "size": [300, 200], "flags": {}, "order": number, "properties": {}, **node}
        for number, node in enumerate(workflow["nodes"])
    ]
    counts = {
        "last_node_id": max(node["id"] for node in nodes),
        "last_link_id": max(link[0] for link in workflow["links"]),
    }
    return {**workflow, **counts, "nodes": nodes, "groups": [], "config": {}, "extra": {}, "version": 0.4}
