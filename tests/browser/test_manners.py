"""All panels at once: in Chinese nothing is English or cut off, Tab reaches every control, sizes stay in bounds."""

import io
import re

import pytest
from pack.tests.browser.page import open_again, settle, use_rendering, use_settings, wait
from pack.tests.browser.test_compare import COMPARE, KEY
from pack.tests.browser.test_compare import folder as comparison  # noqa: F401
from pack.tests.browser.test_live import RUN, show_saved_run
from pack.tests.support.browser import show_nodes
from pack.tests.support.cases import chosen
from PIL import Image

pytestmark = pytest.mark.browser
NODES = [
    ["BakeryTrain", [40, 20], {"name": "manners"}],
    ["BakeryLoadDataset", [560, 20], {"folder": "manners"}],
    ["BakeryCompare", [1060, 20], {}],
]
CUT_OFF = """() => [...document.querySelectorAll(".bakery-panel button, .bakery-panel .bakery-hint")]
    .filter((part) => part.scrollWidth > part.clientWidth + 1 && part.clientWidth)
    .map((part) => part.textContent)"""
TEXTS = """() => ["button", ".bakery-hint", ".bakery-empty", ".bakery-status", "option", "input"]
    .flatMap((kind) => [...document.querySelectorAll(`.bakery-panel ${kind}`)])
    .flatMap((part) => [part.textContent, part.title, part.placeholder ?? "", part.getAttribute("aria-label") ?? ""])"""
WISHES = ["resume", "stop", "save", "sample", "rate", "try"]
KNOWN = re.compile(r"[0-9a-f]{32}|LoRA|lr|input|manners|\.png|Esc|fox|day|night")


@pytest.fixture(scope="module")
def folder(server, browser):
    show_saved_run(server, "manners", 40, (0, 20, 40))
    folder = server.input / "manners"
    folder.mkdir()
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 30)).save(picture, "PNG")
    for number in range(60):
        (folder / f"{number}.png").write_bytes(picture.getvalue())
        (folder / f"{number}.txt").write_text("fox, day" if number % 2 else "fox, night")
    return folder


def show_panels(page, is_new):
    """All panels, in one of the two renderings."""
    use_rendering(page, is_new)
    page.route(re.compile(f"/bakery/runs/{RUN}\\?"), answer_as_paused)
    show_nodes(page, NODES)
    wait(page, "document.querySelectorAll('.bakery-image').length === 60")
    wait(page, "document.querySelectorAll('.bakery-cell').length > 0")
    wait(page, "document.querySelector('.bakery-try').checkVisibility()")


def answer_as_paused(route):
    """The server's answer for a run that has ended, as it would be while it is paused and much is asked of it."""
    answer = route.fetch()
    status = {"state": "paused", "waiting": WISHES, "doing": "sample"}
    route.fulfill(response=answer, json={**answer.json(), **status})


def test_in_chinese_nothing_is_english_or_cut_off(browser, server, tab, folder):
    use_settings(tab, {"Comfy.Locale": "zh"})
    page = open_again(browser, server)
    for is_new in (True, False):  # the server keeps the last one
        show_panels(page, is_new)
        settle(page)
        check_chinese(page, is_new)
    page.context.close()


def check_chinese(page, is_new):
    texts = [text for text in page.evaluate(TEXTS) if text]
    assert len(texts) > 30
    english = [text for text in texts if re.search("[A-Za-z]{2}", KNOWN.sub("", text))]
    assert english == []
    assert page.evaluate(CUT_OFF) == []
    heard = page.locator(".bakery-heard").inner_text()
    assert heard.startswith("这组图片画完后继续训练……") and heard.count("·") == len(WISHES) - 1
    choice, sent = page.evaluate("""async () => {
        const node = window.app.graph._nodes.find((each) => each.comfyClass === "BakeryTrain");
        const widget = node.widgets.find((each) => each.name === "on_dataset_change");
        return [widget._displayValue, (await window.app.graphToPrompt()).output[node.id].inputs.on_dataset_change];
    }""")
    assert (choice, sent) == ("重新开始", "start over"), "named in Chinese, sent as it is"
    assert (page.get_by_text("重新开始", exact=True).count() > 0) == is_new, "the classic rendering draws on its canvas"


@pytest.mark.parametrize("is_new", chosen([False, True], [True]))
def test_every_control_is_reached_by_tab_and_a_long_dataset_makes_no_long_node(page, folder, is_new):
    show_panels(page, is_new)
    box = page.locator(".bakery-dataset").bounding_box()
    row = page.locator(".bakery-image").first.bounding_box()
    assert 200 < box["height"] < 600
    assert box["y"] < row["y"] < box["y"] + box["height"] - 60, "pictures are in sight"
    for panel, least in (("bakery-training", 11), ("bakery-dataset", 40)):
        controls = f".{panel} :is(button, input:not([type=file]), select, textarea, canvas):not(:disabled)"
        count = page.evaluate(
            """controls => {
                const isSeen = (part) => part.checkVisibility() && part.tabIndex >= 0;
                const all = [...document.querySelectorAll(controls)].filter(isSeen).slice(0, 40);
                all.forEach((part, index) => (part.dataset.reached = index));
                all[0].focus();
                return all.length;
            }""",
            controls,
        )
        assert count >= least
        reached = set()
        for _ in range(count):
            reached.add(page.evaluate("() => document.activeElement.dataset.reached"))
            page.keyboard.press("Tab")
        assert reached == {str(index) for index in range(count)}, panel
        page.evaluate("() => document.querySelectorAll('[data-reached]').forEach((p) => delete p.dataset.reached)")


SCROLLED = {".bakery-strip": "scrollLeft", ".bakery-images": "scrollTop", ".bakery-compare-body": "scrollTop"}


@pytest.mark.both_pages
@pytest.mark.parametrize("is_new", [False, True])
def test_the_wheel_scrolls_what_is_longer_than_its_room(page, server, folder, comparison, is_new):  # noqa: F811
    """It does not zoom the canvas, whatever has the keyboard."""
    use_rendering(page, is_new)
    show_saved_run(server, "wheel", 400, range(0, 400, 10))
    show_nodes(page, [
        ["BakeryTrain", [40, -330], {"name": "wheel"}],
        ["BakeryLoadDataset", [560, 20], {"folder": "manners"}],
        ["BakeryCompare", [1060, 20], {}],
    ])  # fmt: skip
    page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", KEY)
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")
    wait(page, "document.querySelectorAll('.bakery-image').length === 60")
    wait(page, "document.querySelectorAll('.bakery-cell').length > 0")
    page.evaluate("() => (document.querySelector('.bakery-compare-body').style.maxHeight = '120px')")  # else all fits
    settle(page)
    for part, direction in SCROLLED.items():
        box = page.locator(part).bounding_box()
        page.evaluate("part => { const e = document.querySelector(part); e.scrollTo(0, 0); }", part)
        settle(page)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        page.mouse.wheel(0, 150)
        wait(page, f"document.querySelector('{part}').{direction} > 20")
    assert page.evaluate("() => window.app.canvas.ds.scale") == 1
