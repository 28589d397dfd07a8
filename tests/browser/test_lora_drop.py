"""A LoRA file dropped on the canvas brings back the graph that trained it."""

import base64
import json

import pytest
from pack.tests.browser.page import wait
from pack.tests.support.browser import load_workflow, prompt_of
from pack.tests.support.paths import ROOT
from pack.tests.support.workflow import to_api
from pack.workbench.examples.data import add_example_data

pytestmark = pytest.mark.browser

DROP = """([name, data]) => {
  const bytes = Uint8Array.from(atob(data), (char) => char.charCodeAt(0));
  return window.app.handleFile(new File([bytes], name));
}"""


def test_the_graph_comes_back(page, server, pocket_checkpoint):
    add_example_data(server.input)
    client = server.client()
    workflow = json.loads(
        (ROOT / "example_workflows" / "small_model_train_then_sample.json").read_text(encoding="utf-8")
    )
    prompt = to_api(workflow, client.object_info())
    key = next(key for key, node in prompt.items() if node["class_type"] == "BakeryTrain")
    quick = {key: node for key, node in prompt.items() if node["class_type"] not in ("KSampler", "PreviewImage")}
    quick = {key: node for key, node in quick.items() if node["class_type"] != "VAEDecode"}
    for node in quick.values():
        node["inputs"] |= {"steps": 2} if node["class_type"] == "BakeryPreview" else {}
    quick[key]["inputs"] |= {"name": "dropped", "steps": 2}
    result = client.wait(client.queue(quick, workflow), 300.0)
    assert result.status == "success", result.error
    file = server.output / "loras" / "dropped" / "dropped.safetensors"
    load_workflow(page, {"nodes": [], "links": [], "version": 0.4})
    page.evaluate(DROP, [file.name, base64.b64encode(file.read_bytes()).decode()])
    wait(page, f"window.app.graph._nodes.length === {len(workflow['nodes'])}")
    queued = {
        key: {"class_type": node["class_type"], "inputs": node["inputs"]} for key, node in prompt_of(page).items()
    }
    assert queued == to_api(workflow, client.object_info())
    assert page.problems == []
