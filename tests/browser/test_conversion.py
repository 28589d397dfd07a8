"""The tests' own conversion of a workflow to what is queued is the page's."""

import json

import pytest
from pack.tests.support.browser import load_workflow, prompt_of
from pack.tests.support.paths import ROOT
from pack.tests.support.workflow import to_api

pytestmark = pytest.mark.browser


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
