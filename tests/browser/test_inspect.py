"""Traits that Inspect Dataset names are taken out of the captions with one click; what is queued then lacks them."""

import pytest
from pack.tests.browser.page import wait
from pack.tests.support.browser import show_nodes
from pack.tests.support.pictures import picture, save

pytestmark = pytest.mark.browser

FOLDER = "stripped_mira"
NODE = "window.app.graph._nodes.find((node) => node.comfyClass === '{}')"
PRUNE = f"{NODE.format('BakeryCaptions')}?.widgets.find((widget) => widget.name === 'prune').value"
REPORT = f"(window.app.nodeOutputs[{NODE.format('BakeryInspectDataset')}.id]?.text ?? []).join(' ')"


@pytest.fixture
def folder(server):
    for number in range(6):
        caption = f"mira, red hair, freckles, place {number}"
        save(server.input / FOLDER / f"{number}.png", picture(number), caption)


def strip(page):
    page.evaluate("() => window.app.queuePrompt(0)")
    button = page.locator("button", has_text="Strip from all captions: red hair, freckles")
    button.click()
    assert button.is_disabled()
    page.evaluate("() => window.app.queuePrompt(0)")
    wait(page, f"{REPORT} && !/red hair/.test({REPORT})")
    is_seen = (
        "[...document.querySelectorAll('button')].some((one) => one.checkVisibility() && /Strip/.test(one.textContent))"
    )
    wait(page, f"!{is_seen}")


def test_traits_go_into_the_captions_node_in_front(page, folder):
    show_nodes(
        page,
        [
            ["BakeryLoadDataset", [20, 40], {"folder": FOLDER}],
            ["BakeryCaptions", [460, 40], {"trigger": "mira", "prune": "sky"}],
            ["BakeryInspectDataset", [900, 40], {}],
        ],
        [[0, 0, 1, "dataset"], [1, 0, 2, "dataset"]],
    )
    strip(page)
    assert page.evaluate(PRUNE) == "sky, red hair, freckles"


def test_without_a_captions_node_one_is_put_in_for_all_who_read_the_dataset(page, folder):
    show_nodes(
        page,
        [
            ["BakeryLoadDataset", [20, 40], {"folder": FOLDER}],
            ["BakeryInspectDataset", [460, 40], {}],
            ["BakeryBuckets", [460, 700], {}],
        ],
        [[0, 0, 1, "dataset"], [0, 0, 2, "dataset"]],
    )
    strip(page)
    assert page.evaluate(PRUNE) == "red hair, freckles"
    origins = page.evaluate(
        """() => {
          const { graph } = window.app;
          const readers = graph._nodes.filter((node) => node.comfyClass !== 'BakeryLoadDataset');
          const links = readers.map((node) => node.inputs.find((each) => each.name === 'dataset').link);
          return links.map((id) => graph.getNodeById(graph.getLink(id).origin_id).comfyClass);
        }"""
    )
    assert sorted(origins) == ["BakeryCaptions", "BakeryCaptions", "BakeryLoadDataset"]
