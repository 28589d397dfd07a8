"""What the live panel shows is of the run it names, and what it does is about what is shown."""

import json
import re

import pytest
from pack.tests.browser.page import frames, open_again, settle, wait
from pack.tests.browser.test_live import RUN, TRAIN_NODE, show_node, show_saved_run
from pack.tests.support.browser import load_workflow
from PIL import Image

pytestmark = pytest.mark.browser

RENAME = f"""name => {{
    const widget = {TRAIN_NODE}.widgets.find((each) => each.name === "name");
    widget.value = name;
    widget.callback(name);
}}"""
TRIED = """([name, run, picture]) => window.app.api.dispatchEvent(new CustomEvent("bakery.try", { detail: {
    name, run, node: null, step: 3, prompt: "fox", seed: 1, strength: 1, picture,
} }))"""
PICTURE = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
STATUS = "document.querySelector('.bakery-training .bakery-status').textContent"
MESSAGE = "[...document.querySelectorAll('.bakery-training .bakery-message')].find((each) => !each.hidden)?.textContent"


def answer_as(page, name, **status):
    """The server's answer for a run that has ended, as it would be while it is paused."""
    told = {"state": "paused", "waiting": [], "doing": "", **status}

    def answer(route):
        found = route.fetch()
        route.fulfill(response=found, json={**found.json(), **told})

    page.route(re.compile(f"/bakery/runs/{RUN}\\?name={name}$"), answer)


@pytest.fixture(autouse=True)
def plain(page):
    yield
    settle(page)
    page.complaints.clear()  # the browser notes every answer that refuses


def test_the_step_on_the_screen_is_picked(page, server):
    show_saved_run(server, "truth_pick", steps=3, previews=(0, 1, 2))
    show_node(page, "truth_pick")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 3")
    page.locator(".bakery-cell").nth(2).click()
    overlay = page.locator(".bakery-overlay")
    overlay.locator("select").select_option("1")
    overlay.locator(".bakery-divider").focus()
    title = page.locator(".bakery-overlay-title")
    assert title.inner_text().startswith("Step 2")
    page.keyboard.press(" ")
    assert title.inner_text().startswith("Step 1")
    page.keyboard.press("Enter")
    wait(page, "/★ 1$/.test(document.querySelector('.bakery-training .bakery-status').textContent)")
    pick = server.output / "loras" / "truth_pick" / ".run" / RUN / "pick.json"
    assert json.loads(pick.read_text())["step"] == 1
    assert "undo" in overlay.locator("button.bakery-primary").inner_text()
    page.keyboard.press("Escape")


def test_a_step_that_covers_the_other_is_the_one_that_is_picked(page, server):
    show_saved_run(server, "truth_divider", steps=3, previews=(0, 1, 2))
    show_node(page, "truth_divider")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 3")
    page.locator(".bakery-cell").nth(2).click()
    page.locator(".bakery-overlay select").select_option("1")
    stage = page.locator(".bakery-stage").bounding_box()
    page.mouse.move(stage["x"] + stage["width"] / 2, stage["y"] + 20)
    page.mouse.down()
    page.mouse.move(stage["x"] + stage["width"] - 1, stage["y"] + 20)
    page.mouse.up()
    assert page.locator(".bakery-overlay-title").inner_text().startswith("Step 1")
    page.keyboard.press("Enter")
    wait(page, f"/★ 1$/.test({STATUS})")
    page.locator(".bakery-divider").focus()
    page.keyboard.press("Shift+ArrowLeft")
    assert page.locator(".bakery-overlay-title").inner_text().startswith("Step 2")
    page.keyboard.press("Escape")


def test_a_step_is_picked_once_its_picture_is_on_the_screen(page, server):
    show_saved_run(server, "truth_late", steps=3, previews=(0, 1, 2))
    show_node(page, "truth_late")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 3")
    settle(page)
    held, previews = [], re.compile(r"/previews/[^?]*[?]name=truth_late$")
    page.route(previews, lambda route: held.append(route))
    page.locator(".bakery-cell").nth(2).click()
    page.keyboard.press("Enter")
    page.wait_for_timeout(500)
    pick = server.output / "loras" / "truth_late" / ".run" / RUN / "pick.json"
    assert held and not pick.exists()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    page.route(previews, lambda route: route.continue_())
    while held:
        held.pop().continue_()
    wait(page, f"/★ 1$/.test({STATUS})")
    assert page.locator(".bakery-awaited").count() == 0
    page.keyboard.press("Escape")


def test_a_pick_is_shown_in_every_tab_and_not_taken_back_for_another(page, server, browser):
    show_saved_run(server, "truth_tabs", steps=3, previews=(0, 1, 2))
    pick = server.output / "loras" / "truth_tabs" / ".run" / RUN / "pick.json"
    other = open_again(browser, server)
    for tab in (page, other):
        show_node(tab, "truth_tabs")
        wait(tab, "document.querySelectorAll('.bakery-cell').length === 3")
    pick_step(page, 1)
    wait(other, f"/★ 1$/.test({STATUS})")
    pick_step(other, 2)
    wait(page, f"/★ 2$/.test({STATUS})")
    pick.write_text(json.dumps({"step": 1, "picked_at": 3}))  # by another program, of which no page hears
    page.locator(".bakery-cell").nth(2).click()
    page.locator(".bakery-overlay button.bakery-primary").click()  # takes back step 2
    wait(page, f"/★ 1$/.test({STATUS})")
    assert json.loads(pick.read_text())["step"] == 1
    page.keyboard.press("Escape")
    other.context.close()


def pick_step(page, step):
    page.locator(".bakery-cell").nth(step).click()
    page.locator(".bakery-overlay button.bakery-primary").click()
    wait(page, f"/★ {step}$/.test({STATUS})")
    page.keyboard.press("Escape")


def test_enter_that_is_held_picks_once(page, server):
    show_saved_run(server, "truth_held", steps=3, previews=(0, 1, 2))
    show_node(page, "truth_held")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 3")
    page.locator(".bakery-cell").nth(1).click()
    for focused, is_picked in ((".bakery-divider", True), ("button.bakery-primary", False)):
        page.locator(f".bakery-overlay {focused}").focus()
        for _ in range(5):  # as the keyboard repeats it
            page.keyboard.down("Enter")
            settle(page)
        page.keyboard.up("Enter")
        assert ("★ 1" in page.locator(".bakery-training .bakery-status").inner_text()) == is_picked
    page.keyboard.press("Escape")


def test_nothing_of_one_run_is_left_in_the_panel_of_another(page, server):
    for name in ("truth_a", "truth_b"):
        show_saved_run(server, name, prompts=(f"prompt of {name}",))
        answer_as(page, name)
    show_node(page, "truth_a")
    page.locator(".bakery-try").wait_for()
    page.evaluate(TRIED, ["truth_a", RUN, PICTURE])
    page.locator(".bakery-try-picture").wait_for()
    page.locator(".bakery-try button").click()  # refused: it is not training
    wait(page, f"/not training/.test({MESSAGE})")
    page.evaluate(TRIED, ["truth_a", "ffffffffffff", PICTURE.replace("R0l", "XXX")])
    assert "XXX" not in page.locator(".bakery-try-picture").get_attribute("src"), "a picture of another run"
    page.evaluate(RENAME, "truth_b")
    wait(page, "document.querySelector('.bakery-try input').value === 'prompt of truth_b'")
    assert page.locator(".bakery-try-picture").is_hidden()
    assert page.locator(".bakery-try-shown").inner_text() == ""
    wait(page, f"{MESSAGE} === undefined")


def test_a_prompt_that_is_typed_to_be_tried_is_there_when_its_panel_comes_again(page, server):
    for name in ("truth_typed_a", "truth_typed_b"):
        show_saved_run(server, name, steps=3, previews=(0, 1))
        answer_as(page, name)
    show_node(page, "truth_typed_a")
    field = page.locator(".bakery-try input[type=text]")
    field.fill("half a pro")
    page.evaluate(RENAME, "truth_typed_b")
    wait(page, "document.querySelector('.bakery-try input')?.value === 'fox'")
    load_workflow(page, {"nodes": [], "links": [], "version": 0.4})
    show_node(page, "truth_typed_a")
    field.wait_for()
    assert field.input_value() == "half a pro"


def test_the_keyboard_stays_in_the_panel_where_its_cell_goes(page, server):
    for name, steps in (("truth_keys_a", (0, 1, 2)), ("truth_keys_b", (1, 3))):
        show_saved_run(server, name, steps=3, previews=steps)
    show_node(page, "truth_keys_a")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 3")
    page.locator(".bakery-cell").nth(2).focus()
    page.evaluate(RENAME, "truth_keys_b")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 2")
    assert page.evaluate("() => document.querySelector('.bakery-training').contains(document.activeElement)")
    page.locator(".bakery-cell").nth(1).click()
    page.evaluate("() => document.querySelectorAll('.bakery-cell')[1].remove()")  # scrolled away as new steps come
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.querySelector('.bakery-training').contains(document.activeElement)")


def test_that_a_picture_is_drawn_is_said_no_longer_than_it_is_so(page, server):
    show_saved_run(server, "truth_wait")
    answer_as(page, "truth_wait")
    page.route(
        "**/try?*", lambda route: route.fulfill(json={"state": "paused", "waiting": ["try"], "doing": "", "at": 1e15})
    )
    show_node(page, "truth_wait")
    page.locator(".bakery-try").wait_for()
    page.locator(".bakery-try button").click()
    wait(page, "document.querySelector('.bakery-try-shown').textContent === 'drawing ...'")
    page.evaluate(
        """run => window.app.api.dispatchEvent(new CustomEvent("bakery.state", { detail: {
            run, name: "truth_wait", node: null, state: "ended", waiting: [], doing: "", at: 2e15 } }))""",
        RUN,
    )
    wait(page, "document.querySelector('.bakery-try-shown').textContent === ''")


def test_keys_on_a_button_are_not_the_canvas_s(page, server):
    show_saved_run(server, "truth_keys")
    show_node(page, "truth_keys")
    wait(page, "document.querySelectorAll('.bakery-cell').length > 0")
    page.evaluate("() => window.app.canvas.selectItems?.([window.app.graph._nodes[0]])")
    page.locator(".bakery-chart button").focus()
    for key in ("Delete", "Backspace", "r"):
        page.keyboard.press(key)
    frames(page)
    assert page.evaluate("() => window.app.graph._nodes.length") == 1


def test_sample_now_at_a_drawn_step_says_that_it_is_drawn(page, server):
    show_saved_run(server, "truth_drawn", steps=2, previews=(0, 2))
    answer_as(page, "truth_drawn")
    show_node(page, "truth_drawn")
    page.locator(".bakery-buttons").wait_for()
    told = []
    page.on("request", lambda request: told.append(request.url) if request.method == "POST" else None)
    page.locator(".bakery-training button", has_text="Sample now").click()
    wait(page, f"/step 2 are already drawn/.test({MESSAGE})")
    assert [url for url in told if "/sample" in url] == []


def test_a_failed_answer_is_not_no_run_and_is_asked_for_again(page, server):
    show_saved_run(server, "truth_failed")
    page.route(
        re.compile(r"/bakery/runs\?"), lambda route: route.fulfill(status=500, json={"error": "the disk is gone"})
    )
    show_node(page, "truth_failed")
    wait(page, f"/the disk is gone/.test({MESSAGE})")
    assert page.locator(".bakery-training .bakery-empty").is_hidden()
    page.unroute_all(behavior="wait")
    wait(page, "document.querySelectorAll('.bakery-cell').length > 0")
    assert page.evaluate(f"() => {MESSAGE}") is None


def test_a_picture_that_cannot_be_read_is_said_in_its_row(page, server):
    folder = server.input / "truth_broken"
    folder.mkdir(exist_ok=True)
    (folder / "a.png").write_bytes(b"no picture")
    Image.new("RGB", (64, 64)).save(folder / "b.png")
    page.evaluate("""() => {
        const node = LiteGraph.createNode("BakeryLoadDataset");
        node.pos = [80, 80];
        window.app.graph.add(node);
        const widget = node.widgets.find((each) => each.name === "folder");
        widget.value = "truth_broken";
        widget.callback("truth_broken");
    }""")
    wait(page, "document.querySelectorAll('.bakery-image .bakery-problem:not([hidden])').length === 1")
    assert "leaves it out" in page.locator(".bakery-image .bakery-problem").first.inner_text()
