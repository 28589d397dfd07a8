"""Each panel passes axe-core's rules, in both renderings, and can be used without a pointer."""

import json

import pytest
from pack.tests.browser.page import settle, use_rendering, wait
from pack.tests.browser.test_compare import COMPARE, KEY
from pack.tests.browser.test_compare import folder as comparison  # noqa: F401
from pack.tests.browser.test_live import show_saved_run
from pack.tests.browser.test_live_truth import answer_as
from pack.tests.support.browser import show_nodes
from pack.tests.support.fixtures import give_up
from pack.tests.support.paths import ROOT
from PIL import Image

pytestmark = pytest.mark.browser

AXE = ROOT / ".cache" / "node" / "node_modules" / "axe-core" / "axe.min.js"
CHECK = """async part => {
    const rules = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"];
    const found = (await window.axe.run(part, { runOnly: rules })).violations;
    const tell = ({ html, failureSummary }) => `${html.slice(0, 200)} ${failureSummary}`;
    return found.map(({ id, nodes }) => [id, ...nodes.slice(0, 3).map(tell)]);
}"""
OTHERS = {"region", "landmark-one-main", "page-has-heading-one"}
"""Rules about a whole page, which is ComfyUI's."""


@pytest.fixture
def checked(page):
    """Runs axe-core on a part of the page."""
    if not AXE.is_file():
        give_up("HOST", "needs axe-core: run `python dev.py lint` once")
    page.evaluate(AXE.read_text(encoding="utf-8"))
    return lambda part: [found for found in page.evaluate(CHECK, part) if found[0] not in OTHERS]


@pytest.fixture(params=[False, True], ids=["classic", "nodes2"])
def rendering(page, request):
    use_rendering(page, request.param)
    return request.param


def test_the_gallery(page, server, checked, rendering):
    folder = server.input / "axe"
    folder.mkdir(exist_ok=True)
    for name in ("a.png", "b.png", "b.jpg"):
        Image.new("RGB", (64, 48), (200, 80, 40)).save(folder / name)
    (folder / "a.txt").write_text("fox, day")
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": "axe"}]])
    wait(page, "document.querySelectorAll('.bakery-image').length === 3")
    page.locator(".bakery-tags button").first.click()
    page.evaluate("text => window.app.graph._nodes[0].onExecuted({ text })", [f"note {number}" for number in range(30)])
    assert json.dumps(checked(".bakery-dataset"), indent=1) == "[]"
    page.evaluate("document.querySelector('.bakery-dataset').append(document.createElement('select'))")
    assert [name for name, *_ in checked(".bakery-dataset")] == ["select-name"], "what is wrong is found"


def test_the_live_panel(page, server, checked, rendering):
    show_saved_run(server, "axe_run", steps=40, previews=(0, 10, 20, 30, 40), prompts=("fox", "cat"))
    show_nodes(page, [["BakeryTrain", [420, 60], {"name": "axe_run"}]], top=350)
    wait(page, "document.querySelectorAll('.bakery-cell').length >= 6")
    assert json.dumps(checked(".bakery-training"), indent=1) == "[]"
    page.locator(".bakery-cell").first.click()
    assert json.dumps(checked(".bakery-overlay"), indent=1) == "[]"
    page.keyboard.press("Escape")


def test_the_live_panel_while_it_trains(page, server, checked, rendering):
    show_saved_run(server, "axe_paused", steps=4, previews=(0, 2, 4))
    answer_as(page, "axe_paused", waiting=["resume", "stop", "try"], doing="sample")
    show_nodes(page, [["BakeryTrain", [420, 60], {"name": "axe_paused"}]], top=350)
    page.locator(".bakery-try").wait_for()
    assert json.dumps(checked(".bakery-training"), indent=1) == "[]"


def test_the_dialog_that_keeps_pictures(page, server, checked):
    (server.input / "axe_kept").mkdir()
    Image.new("RGB", (32, 32)).save(server.output / "axe.png")
    show_nodes(page, [["PreviewImage", [480, 80], {}]])
    page.evaluate("""() => {
        const [node] = window.app.graph._nodes;
        node.images = [{ filename: "axe.png", subfolder: "", type: "output" }];
        const options = window.app.canvas.getNodeMenuOptions(node);
        options.find((option) => option?.content === "Keep these for training").callback();
    }""")
    page.locator(".bakery-keep").wait_for()
    assert json.dumps(checked(".bakery-overlay"), indent=1) == "[]"
    page.keyboard.press("Escape")


def test_the_comparison(page, comparison, checked, rendering):  # noqa: F811
    show_nodes(page, [["BakeryCompare", [420, 60], {}]], top=520)
    assert json.dumps(checked(".bakery-compare"), indent=1) == "[]"
    page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", KEY)
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")
    assert json.dumps(checked(".bakery-compare"), indent=1) == "[]"
    page.locator(".bakery-compare button", has_text="Vote blind").click()
    assert json.dumps(checked(".bakery-compare"), indent=1) == "[]"


def test_a_strip_wider_than_its_room_is_entered_and_left_by_the_keyboard(page, server):
    show_saved_run(server, "axe_long", steps=400, previews=range(0, 400, 10), prompts=("fox", "cat"))
    show_nodes(page, [["BakeryTrain", [420, 60], {"name": "axe_long"}]], top=350)
    wait(page, "document.querySelectorAll('.bakery-cell').length > 0")
    settle(page)
    assert page.locator(".bakery-cell[aria-label^='Step 0:']").count() == 0, "the newest are in sight"
    page.locator(".bakery-chart-canvas").focus()
    page.keyboard.press("Tab")
    label = "() => document.activeElement.getAttribute('aria-label')"
    assert page.evaluate(label).startswith("Step "), "the strip is the next stop"
    page.keyboard.press("Home")
    assert page.evaluate(label) == "Step 0: fox"
    page.keyboard.press("ArrowDown")
    assert page.evaluate(label) == "Step 0: cat"
    page.evaluate("() => (document.querySelector('.bakery-strip').scrollLeft = 1e6)")
    settle(page)
    assert page.evaluate(label) == "Step 0: cat", "a cell out of sight keeps the keyboard"
    rows = page.locator(".bakery-strip [role=row]")
    assert [rows.nth(row).locator("[role=gridcell]").count() > 0 for row in range(3)] == [False, True, True]


def test_the_values_of_the_chart_are_told(page, server):
    show_saved_run(server, "axe_chart", steps=40, previews=())
    show_nodes(page, [["BakeryTrain", [420, 60], {"name": "axe_chart"}]], top=350)
    chart = page.locator(".bakery-chart-canvas")
    wait(
        page,
        "/^step 40: loss 0.025/.test(document.querySelector('.bakery-chart-canvas').getAttribute('aria-valuetext'))",
    )
    chart.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    wait(page, "!/^step 40/.test(document.querySelector('.bakery-chart-canvas').getAttribute('aria-valuetext'))")
    told = chart.get_attribute("aria-valuetext")
    assert told.startswith(f"step {chart.get_attribute('aria-valuenow')}: loss") and "smoothed" in told
