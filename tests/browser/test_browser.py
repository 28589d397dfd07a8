"""The page in Chromium: opens without an error, knows the pack, converts a workflow as we do."""

import pytest
from pack.tests.support.browser import load_workflow, prompt_of
from pack.tests.support.workflow import to_api

pytestmark = pytest.mark.browser

SLOT = {"name": "image", "type": "IMAGE"}
WORKFLOW = {
    "version": 0.4,
    "last_node_id": 3,
    "last_link_id": 2,
    "nodes": [
        {"id": 1, "type": "EmptyImage", "pos": [0, 0], "size": [300, 150], "mode": 0, "order": 0, "inputs": [],
         "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}], "widgets_values": [64, 32, 1, 255]},
        {"id": 2, "type": "ImageInvert", "pos": [350, 0], "size": [200, 50], "mode": 4, "order": 1,
         "inputs": [{**SLOT, "link": 1}], "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}]},
        {"id": 3, "type": "PreviewImage", "pos": [600, 0], "size": [200, 200], "mode": 0, "order": 2,
         "inputs": [{"name": "images", "type": "IMAGE", "link": 2}], "outputs": []},
    ],
    "links": [[1, 1, 0, 2, 0, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
}  # fmt: skip


@pytest.mark.both_pages
def test_page_opens_with_the_pack(page):
    known = page.evaluate("() => Object.keys(window.LiteGraph.registered_node_types)")
    assert "BakeryTrain" in known
    assert page.problems == []


@pytest.mark.both_pages
def test_page_and_converter_agree(page, server):
    load_workflow(page, WORKFLOW)
    queued = prompt_of(page)
    assert {name: node["inputs"] for name, node in queued.items()} == {
        name: node["inputs"] for name, node in to_api(WORKFLOW, server.client().object_info()).items()
    }
