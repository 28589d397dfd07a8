"""The pictures of a comparison: large on click, voted on blind, ranked, and a step picked for the next queue."""

import itertools
import json

import pytest
from pack.tests.browser.page import show_nodes, wait
from PIL import Image

pytestmark = pytest.mark.browser
RUN, NAME = "fedcba987654", "voted"
LORAS = ["no LoRA", "step 10", "step 20"]
PROMPTS = ["fox", "<b>fox</b>"]


@pytest.fixture
def output(server):
    """What the node says after a comparison, its pictures in ComfyUI's temporary folder, and the run."""
    root = server.output / "loras" / NAME
    (root / ".run" / RUN).mkdir(parents=True, exist_ok=True)
    record = {"format": 1, "base": "", "dataset": "", "segments": [], "description": {}}
    (root / ".run" / RUN / "run.json").write_text(json.dumps(record))
    (root / ".run" / "current").write_text(RUN)
    folder = server.base / "temp" / "bakery_compare"
    folder.mkdir(parents=True, exist_ok=True)
    cells = []
    for lora, prompt in itertools.product(range(len(LORAS)), range(len(PROMPTS))):
        name = f"vote_{lora}_{prompt}.png"
        Image.new("RGB", (64, 64), (80 * lora, 90, 160 * prompt)).save(folder / name)
        cells.append({"file": name, "lora": lora, "score": None, "key": [prompt, 0, 0]})
    for step in (10, 20):
        (root / f"{NAME}-step{step:06d}.safetensors").write_bytes(b"")
    return {"run": {"id": RUN, "name": NAME}, "loras": LORAS, "prompts": PROMPTS, "cells": cells}


def test_look_vote_and_pick(page, server, output):
    show_nodes(page, [["BakeryCompare", [420, 60], {}]], top=520)
    page.evaluate("data => window.app.graph._nodes[0].onExecuted({ bakery_compare: [data] })", output)
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")
    page.locator(".bakery-compare-cell").nth(3).click()
    wait(page, "document.querySelector('.bakery-compare-large img')?.naturalWidth === 64")
    page.keyboard.press("Enter")
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")

    page.locator(".bakery-compare button", has_text="Vote blind").click()
    for _ in range(6):
        sources = page.locator(".bakery-pair img").evaluate_all("images => images.map((image) => image.src)")
        assert "step" not in page.locator(".bakery-compare").inner_text(), "a blind vote names no LoRA"
        best = max(range(2), key=lambda side: sources[side].split("vote_")[1])
        page.locator(".bakery-pair button").nth(best).click()
    page.keyboard.press("ArrowLeft")
    page.locator(".bakery-compare button", has_text="Back").click()
    first = page.locator(".bakery-rank li").first.inner_text()
    assert first.startswith("step 20:")

    page.locator(".bakery-compare-row button", has_text="step 10").click()
    wait(page, "/★ 10/.test(document.querySelector('.bakery-compare .bakery-message').textContent)")
    pick = json.loads((server.output / "loras" / NAME / ".run" / RUN / "pick.json").read_text())
    assert pick == {"step": 10, "picked_at": 20}
    assert page.locator(".bakery-compare b").count() == 0
    assert page.locator(".bakery-compare-row button", has_text="no LoRA").is_disabled()
