"""The gallery shows what is in the folder, whatever is lost: a release of the pointer, an answer, an event."""

import re

import pytest
from pack.tests.browser.page import frames, settle, use_rendering, wait
from pack.tests.browser.test_dataset import caption, show_dataset, until_file
from pack.tests.browser.test_dataset_edits import MESSAGE, folder  # noqa: F401
from pack.tests.support.browser import load_workflow, show_nodes

pytestmark = pytest.mark.browser

READ_AGAIN = "() => window.app.graph._nodes[0].onExecuted({})"
SWALLOW = """hasLimit => {
    const [restored, real] = [new AbortController(), window.setTimeout];
    const options = { capture: true, signal: restored.signal };
    for (const name of ["pointerup", "pointercancel"]) {
        window.addEventListener(name, (event) => event.stopImmediatePropagation(), options);
    }
    if (!hasLimit) window.setTimeout = (act, ms, ...rest) => (ms === 3000 ? 0 : real(act, ms, ...rest));
    window.restore = () => {
        restored.abort();
        window.setTimeout = real;
    };
}"""
"""A native list of choices and a scroll bar keep the release of the pointer to themselves."""
EXCLUDED = "document.querySelectorAll('.bakery-excluded').length === 1"
SIGNS = {
    "the pointer moves": lambda page: page.mouse.move(700, 700),
    "the window loses the focus": lambda page: page.evaluate("() => window.dispatchEvent(new Event('blur'))"),
    "nothing": lambda page: None,
}
"""What tells that the pointer is up; in the end, that some time has passed."""


@pytest.mark.parametrize("sign", list(SIGNS))
def test_a_pointer_whose_release_is_not_heard_holds_nothing_up(page, folder, sign):  # noqa: F811
    show_dataset(page, folder)
    settle(page)
    page.evaluate(SWALLOW, sign == "nothing")
    caption(page, 1).click()
    (folder / "0.txt").write_text("from outside")
    page.evaluate(READ_AGAIN)
    settle(page)
    SIGNS[sign](page)
    wait(page, "document.querySelector('.bakery-image textarea').value === 'from outside'", 15)
    page.evaluate("() => window.restore()")


def test_an_edit_under_way_is_seen_where_another_workflow_shows_the_folder(page, folder):  # noqa: F811
    def hold_back(route):
        page.wait_for_timeout(1500)
        route.continue_()

    page.route(re.compile("/bakery/dataset/exclude$"), hold_back)
    show_dataset(page, folder)
    settle(page)
    graph = page.evaluate("() => JSON.parse(JSON.stringify(window.app.rootGraph.serialize()))")
    page.locator(".bakery-image-actions button").first.click()
    load_workflow(page, {"nodes": [], "links": [], "version": 0.4})
    load_workflow(page, graph)
    wait(page, EXCLUDED, 20)
    assert (folder / ".excluded" / "0.png").is_file()


def test_an_edit_whose_answer_is_lost_is_seen(page, folder):  # noqa: F811
    def lose(route):
        route.fetch()
        route.abort()

    show_dataset(page, folder)
    settle(page)
    page.route(re.compile("/bakery/dataset/exclude$"), lose)
    page.locator(".bakery-image-actions button").first.click()
    wait(page, EXCLUDED, 15)
    assert page.evaluate(f"() => {MESSAGE}")
    page.complaints.clear()


def test_while_the_server_is_away_nothing_is_lost_and_it_is_asked_again(page, folder):  # noqa: F811
    show_dataset(page, folder)
    settle(page)
    page.route(re.compile("/bakery/"), lambda route: route.abort())
    caption(page, 1).fill("typed while it is away")
    caption(page, 1).blur()
    page.evaluate(READ_AGAIN)
    wait(page, f"{MESSAGE} !== ''")
    settle(page)
    (folder / "0.txt").write_text("from outside")
    page.unroute_all()
    wait(page, "document.querySelector('.bakery-image textarea').value === 'from outside'", 15)
    until_file(page, folder / "1.txt", "typed while it is away")
    wait(page, f"{MESSAGE} === ''", 15)
    assert page.locator(".bakery-conflict button").count() == 0
    page.complaints.clear()


def test_what_a_listener_throws_does_not_end_the_gallery(page, folder):  # noqa: F811
    show_dataset(page, folder)
    settle(page)
    page.evaluate("""() => {
        const [node] = window.app.graph._nodes;
        node.setDirtyCanvas = () => {
            delete node.setDirtyCanvas;
            throw new Error("thrown once");
        };
    }""")
    caption(page, 0).fill("first")
    caption(page, 0).blur()
    until_file(page, folder / "0.txt", "first")
    caption(page, 1).fill("second")
    caption(page, 1).blur()
    until_file(page, folder / "1.txt", "second")
    page.problems.clear()


def test_two_nodes_that_read_a_folder_by_other_rules_show_the_same_pictures(page, folder):  # noqa: F811
    endings = (".txt", ".caption")
    values = [{"folder": folder.name, "caption_extension": ending} for ending in endings]
    show_nodes(page, [["BakeryLoadDataset", [80 + 620 * place, 80], value] for place, value in enumerate(values)])
    wait(page, "document.querySelectorAll('.bakery-image').length === 8")
    settle(page)
    page.locator(".bakery-image-actions button").first.click()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 2", 15)
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"caption_extension": ".txt"}]] * 2)
    frames(page)


NOTE = """move => {
    if (move) window.app.graph._nodes[0].pos[0] += 50;
    const { changeTracker } = window.app.extensionManager.workflow.activeWorkflow;
    (changeTracker.captureCanvasState ?? changeTracker.checkState).call(changeTracker);
}"""
PLACED = (
    """window.app.graph._nodes.every(({ widgets }) => widgets.every(({ element }) => element?.isConnected ?? true))"""
)


def test_after_a_change_of_the_graph_was_undone_its_panels_are_those_on_the_page(page, folder):  # noqa: F811
    use_rendering(page, True)
    inspect, run = ["BakeryInspectDataset", [80, 700], {}], ["BakeryTrain", [700, 60], {"name": "no_run_yet"}]
    show_nodes(page, [["BakeryLoadDataset", [80, 60], {"folder": folder.name}], inspect, run])
    wait(page, "document.querySelectorAll('.bakery-image').length === 4")
    load_workflow(page, page.evaluate("() => JSON.parse(JSON.stringify(window.app.rootGraph.serialize()))"))
    for is_moved in (False, True):
        page.evaluate(NOTE, is_moved)
    x = page.evaluate("() => window.app.graph._nodes[0].pos[0]")
    page.keyboard.press("Control+z")
    wait(page, f"window.app.graph._nodes[0].pos[0] === {x - 50}")
    wait(page, PLACED, 20)
    wait(page, "document.querySelectorAll('.bakery-image').length === 4")
    caption(page, 0).fill("typed after the undo")
    caption(page, 0).blur()
    until_file(page, folder / "0.txt", "typed after the undo")


MODULE = "end => performance.getEntriesByType('resource').find(({ name }) => name.endsWith(end)).name"
WATCH = """async url => {
    const { whileSeen } = await import(url);
    const real = window.IntersectionObserver;
    const element = document.createElement("div");
    const seen = [];
    let [known, look] = [null, () => {}];
    window.IntersectionObserver = class {
        constructor(tell) {
            look = () => {
                if (known === element.isConnected) return; // as the browser does: once in a frame, and only of changes
                known = element.isConnected;
                tell([{ isIntersecting: known }]);
            };
        }
        observe() { known = null; }
        unobserve() {}
        disconnect() {}
    };
    document.body.append(element);
    const acts = ["enter", "leave", "tick"].map((name) => [name, () => seen.push(name)]);
    const stop = whileSeen(element, Object.fromEntries(acts));
    window.IntersectionObserver = real;
    const pause = () => new Promise((later) => setTimeout(later, 20));
    const until = async (name) => {
        for (let turn = 0; turn < 200 && !seen.includes(name); turn++) await pause();
    };
    look();
    element.remove(); // and put elsewhere before the browser looks again
    await until("leave");
    document.body.append(element);
    look();
    await until("tick");
    stop();
    element.remove();
    return seen;
}"""


def test_a_panel_that_is_put_elsewhere_in_a_moment_stays_in_sight(page):
    url = page.evaluate(
        "() => performance.getEntriesByType('resource').find(({ name }) => name.endsWith('/shared/lifetime.js')).name"
    )
    seen = page.evaluate(WATCH, url)
    assert seen == ["enter", "leave", "enter", "tick", "leave"]
