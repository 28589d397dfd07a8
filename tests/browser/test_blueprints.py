"""Blueprints are listed by the host, open on the page, and run there connected to a checkpoint."""

import json

import pytest
from pack.tests.support.browser import load_workflow, prompt_of
from pack.tests.support.cases import chosen
from pack.tests.support.paths import POCKET_CHECKPOINT, ROOT
from pack.workbench.examples.blueprints import BLUEPRINTS
from pack.workbench.examples.data import add_example_data

pytestmark = pytest.mark.browser

NAMES = [blueprint.name for blueprint in BLUEPRINTS]
QUICK = {
    "BakeryTrain": {"steps": 2, "batch_size": 1, "save_every": 2},
    "BakeryLoadDataset": {"folder": "zorblax"},
    "BakeryCaptions": {"trigger": "zorblax"},
}
CONNECT = """(checkpoint) => {
  const { graph } = window.app;
  const [inside] = graph._nodes;
  const loader = LiteGraph.createNode("CheckpointLoaderSimple");
  graph.add(loader);
  loader.widgets[0].value = checkpoint;
  ["model", "clip", "vae"].forEach((name, slot) => loader.connect(slot, inside, inside.findInputSlot(name)));
  return { title: inside.title, widgets: inside.widgets.map((widget) => widget.name), size: [...inside.size] };
}"""


def content(name):
    return json.loads((ROOT / "subgraphs" / f"{name}.json").read_text(encoding="utf-8"))


def test_the_host_lists_them(server):
    client = server.client()
    entries = {entry["name"]: key for key, entry in client.get("/global_subgraphs").items() if is_ours(entry)}
    assert sorted(entries) == sorted(NAMES)
    for name, key in entries.items():
        assert json.loads(client.get(f"/global_subgraphs/{key}")["data"]) == content(name)


def is_ours(entry):
    return entry["source"] == "custom_node" and entry["info"]["node_pack"] == "custom_nodes.lora-bakery"


@pytest.mark.parametrize("name", chosen(NAMES, ["Train LoRA"]))
def test_it_opens_and_runs(page, server, pocket_checkpoint, name):
    add_example_data(server.input)
    load_workflow(page, content(name))
    shown = page.evaluate(CONNECT, POCKET_CHECKPOINT.name)
    assert shown["title"] == name
    assert {"folder", "trigger", "name"} <= set(shown["widgets"])
    prompt = prompt_of(page)
    kinds = [node["class_type"] for node in prompt.values()]
    assert kinds.count("BakeryTrain") == 1
    for node in prompt.values():
        node["inputs"].update(QUICK.get(node["class_type"], {}))
    train = next(node["inputs"] for node in prompt.values() if node["class_type"] == "BakeryTrain")
    train.pop("stages", None)  # a recipe's plan is long
    prompt["small"] = {"class_type": "BakeryBuckets", "inputs": {"dataset": train["dataset"], "resolution": 64}}
    train["dataset"] = ["small", 0]
    result = server.client().run(prompt, timeout_s=300.0)
    assert result.status == "success", result.error
    assert page.problems == []
