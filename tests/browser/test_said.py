"""What the server's nodes say after a run is Chinese on a Chinese page, what they say while they run too."""

import re

import pytest
from pack.tests.browser.page import open_again, until, use_settings, wait
from pack.tests.support.browser import show_nodes
from pack.tests.support.idle import is_idle
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset

pytestmark = [pytest.mark.browser, pytest.mark.full]

FOLDER = "said_zorblax"
NODES = [
    ["CheckpointLoaderSimple", [20, 60], {"ckpt_name": "pocket.safetensors"}],
    ["BakeryLoadDataset", [20, 260], {"folder": FOLDER}],
    ["BakeryCaptions", [460, 260], {"trigger": "zorblax"}],
    ["BakeryBuckets", [460, 900], {"resolution": 64}],
    ["BakeryRecipe", [20, 900], {}],
    [
        "BakeryPreview",
        [900, 900],
        {"prompts": "zorblax, sky background", "width": 64, "height": 64, "every": 2, "steps": 2},
    ],
    ["BakeryTrain", [900, 60], {"name": "said", "steps": 2, "batch_size": 1, "save_every": 2, "keep_last": 0}],
    ["BakeryShareLoRA", [1400, 60], {}],
    ["BakeryPickStep", [1400, 500], {}],
    ["PreviewAny", [1700, 700], {}],
    ["PreviewAny", [1700, 900], {}],
]
LINKS = [
    [0, 0, 6, "model"], [0, 1, 6, "clip"], [0, 2, 6, "vae"], [1, 0, 2, "dataset"], [2, 0, 3, "dataset"],
    [3, 0, 4, "dataset"], [3, 0, 6, "dataset"], [5, 0, 6, "preview"], [6, 3, 7, "run"], [6, 3, 8, "run"],
    [4, 4, 9, "source"], [8, 1, 10, "source"],
]  # fmt: skip
HEARD = """() => {
    window.heard = [];
    const { api } = window.comfyAPI.api;
    api.addEventListener("progress_text", ({ detail }) => window.heard.push(detail.text));
}"""
SHOWN = """() => [...document.querySelectorAll(".bakery-notes")]
    .filter((part) => part.checkVisibility())
    .map((part) => part.innerText)"""


def test_on_a_chinese_page_nodes_speak_chinese(browser, server, tab, pocket_checkpoint):
    write_oc_dataset(server.input / FOLDER, CHARACTERS["zorblax"])
    use_settings(tab, {"Comfy.Locale": "zh"})
    page = open_again(browser, server)
    page.evaluate(HEARD)
    show_nodes(page, NODES, LINKS)
    page.evaluate("() => window.app.queuePrompt(0)")
    wait(page, f"({SHOWN})().some((text) => text.includes('output/share'))")
    until(page, lambda: is_idle(server.client()), "nothing runs or waits")
    texts = [*page.evaluate(SHOWN), *page.evaluate("() => window.heard")]
    lines = [line for text in texts for line in re.split(r"[\n；·]", text)]
    assert len(lines) > 20
    assert [line for line in lines if not re.search("[一-鿿]", line)] == []
    page.context.close()
