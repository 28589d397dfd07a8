"""The page shows the schema's own texts in English, so the pack needs no English locale."""

import json
import urllib.request

import pytest

pytestmark = pytest.mark.browser
SHOWN = """async () => {
  const found = {};
  const pinia = document.getElementById("vue-app").__vue_app__.config.globalProperties.$pinia;
  for (const type of Object.keys(LiteGraph.registered_node_types).filter((name) => name.startsWith("Bakery"))) {
    const node = LiteGraph.createNode(type);
    node.id = 90001 + Object.keys(found).length; // the page keeps labels by id and name, also of nodes that are gone
    window.app.graph.add(node);
    const { description, inputs } = pinia.state.value.nodeDef.nodeDefsByName[type];
    const rows = [...node.inputs, ...(node.widgets ?? [])].filter((row) => row.name);
    const label = (row) => row.label ?? row.localized_name ?? row.name;
    found[type] = {
      title: node.title,
      description,
      inputs: Object.fromEntries(rows.map((row) => [row.name, label(row)])),
      tooltips: Object.fromEntries(Object.values(inputs).map((input) => [input.name, input.tooltip])),
      outputs: node.outputs.map(label),
    };
    window.app.graph.remove(node);
  }
  return found;
}"""


def test_the_page_shows_what_the_nodes_say(server, page):
    with urllib.request.urlopen(f"{server.url}/object_info") as answer:
        nodes = {name: node for name, node in json.load(answer).items() if name.startswith("Bakery")}
    shown = page.evaluate(SHOWN)
    assert set(shown) == set(nodes) != set()
    for name, node in nodes.items():
        inputs = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
        options = {key: (value[1] if len(value) > 1 else {}) for key, value in inputs.items()}
        assert shown[name]["title"] == node["display_name"]
        assert shown[name]["description"] == node["description"]
        assert shown[name]["outputs"] == node["output_name"]
        labels = {key: option.get("display_name") or key for key, option in options.items()}
        assert {key: shown[name]["inputs"].get(key) for key in labels} == labels
        assert shown[name]["tooltips"] == {key: option["tooltip"] for key, option in options.items()}
