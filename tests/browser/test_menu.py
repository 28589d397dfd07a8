"""The menu: eight nodes lead, the others lie below Advanced and Tools."""

import re

import pytest
from pack.tests.browser.page import screenshot, wait

pytestmark = pytest.mark.browser

LEADING = {
    "Load Dataset", "Captions", "Resolution & Buckets", "Recipe", "LoRA Preview", "Train LoRA", "Compare LoRAs",
    "Pick Step",
}  # fmt: skip
TREE = "[data-testid='node-library-tree'], .node-library-tree, .side-bar-panel"


def test_eight_nodes_lead(page):
    page.evaluate("() => window.app.extensionManager.sidebarTab.toggleSidebarTab('node-library')")
    page.locator(".side-bar-panel input").first.fill("(Bakery)")
    wait(page, "/Advanced/.test(document.querySelector('.side-bar-panel')?.innerText ?? '')")
    page.wait_for_timeout(500)
    shown = page.locator(".side-bar-panel").inner_text()
    screenshot(page, "menu", ".side-bar-panel")
    page.evaluate("() => window.app.extensionManager.sidebarTab.toggleSidebarTab('node-library')")
    print(shown)
    leading = re.split(r"\n(?:Advanced|Tools)\b", shown)
    names = [set(re.findall(r"(.+?) \(Bakery\)", part)) for part in leading]
    assert LEADING in names, shown
