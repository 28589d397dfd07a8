"""The menu: eight nodes lead, the others lie below Advanced and Tools."""

import re

import pytest
from pack.tests.browser.page import screenshot, wait

pytestmark = pytest.mark.browser

LEADING = [
    "Load Dataset", "Captions", "Resolution & Buckets", "Recipe", "LoRA Preview", "Train LoRA", "Pick Step",
    "Compare LoRAs",
]  # fmt: skip
TOGGLE = "() => window.app.extensionManager.sidebarTab.toggleSidebarTab('node-library')"


def test_eight_nodes_lead(page):
    page.evaluate(TOGGLE)
    panel = page.locator(".side-bar-panel")
    panel.get_by_text("LoRA Bakery", exact=True).click()
    panel.get_by_text("Tools", exact=True).scroll_into_view_if_needed()
    named = "document.querySelector('.side-bar-panel').innerText.match(/\\(Bakery\\)/g)"
    wait(page, f"{named}?.length >= {len(LEADING)}")
    shown = panel.inner_text()
    screenshot(page, "menu", ".side-bar-panel")
    page.evaluate(TOGGLE)
    below = shown.split("LoRA Bakery")[-1]
    assert re.findall(r"(.+?) \(Bakery\)|\n(Advanced|Tools)\b", below) == [
        *((name, "") for name in LEADING), ("", "Advanced"), ("", "Tools"),
    ]  # fmt: skip
