"""Panels inside subgraphs show what is trained, and end with the workflow."""

import json

import pytest
from pack.tests.browser.page import settle, until, use_rendering, wait
from pack.tests.browser.test_live import COUNT, show_saved_run
from pack.tests.support.browser import load_workflow, prompt_of
from pack.tests.support.paths import ROOT
from PIL import Image

pytestmark = pytest.mark.browser

BLUEPRINT = json.loads((ROOT / "subgraphs" / "Train LoRA.json").read_text(encoding="utf-8"))
ENTER = "() => { const [host] = window.app.rootGraph._nodes; window.app.canvas.openSubgraph(host.subgraph, host); }"
SET = """([name, value]) => {
    const [host] = window.app.rootGraph._nodes;
    const widget = host.widgets.find((each) => each.name === name);
    widget.value = value;
    widget.callback?.(value);
}"""
FIT = """kind => {
    const { canvas } = window.app;
    const node = canvas.graph._nodes.find((each) => each.comfyClass === kind);
    canvas.ds.scale = 1;
    canvas.ds.offset = [60 - node.pos[0], 60 - node.pos[1]];
    canvas.setDirty(true, true);
}"""
COPY_HOST = """folder => {
    const graph = window.app.rootGraph;
    const [host] = graph._nodes;
    const copy = LiteGraph.createNode(host.type);
    graph.add(copy);
    copy.widgets.find((each) => each.name === "folder").value = folder;
}"""
NAME = "(document.querySelector('.bakery-add')?.textContent ?? '')"


def make_folder(server, name, caption):
    folder = server.input / name
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (64, 48), (200, 80, 40)).save(folder / "a.png")
    (folder / "a.txt").write_text(caption)
    return folder


def enter(page, kind):
    page.evaluate(ENTER)
    page.evaluate(FIT, kind)


@pytest.fixture
def rendering(page, is_new):
    use_rendering(page, is_new)
    return is_new


@pytest.mark.both_pages
@pytest.mark.parametrize("is_new", [False, True])
def test_a_promoted_folder_is_the_one_that_is_shown_edited_and_sent(page, server, rendering):
    one, other = make_folder(server, "promoted_one", "first"), make_folder(server, "promoted_other", "second")
    load_workflow(page, BLUEPRINT)
    page.evaluate(SET, ["folder", one.name])
    enter(page, "BakeryLoadDataset")
    wait(page, f"{NAME}.endsWith('input/{one.name}')")
    wait(page, "document.querySelector('.bakery-image textarea')?.value === 'first'")
    page.evaluate(SET, ["folder", other.name])
    wait(page, f"{NAME}.endsWith('input/{other.name}')")
    wait(page, "document.querySelector('.bakery-image textarea')?.value === 'second'")
    sent = next(node for node in prompt_of(page).values() if node["class_type"] == "BakeryLoadDataset")
    assert sent["inputs"]["folder"] == other.name
    field = page.locator(".bakery-image textarea")
    field.fill("edited")
    field.blur()
    until(page, lambda: (other / "a.txt").read_text() == "edited", "the caption of the folder that is trained")
    assert ((one / "a.txt").read_text(), (other / "a.txt").read_text()) == ("first", "edited")


@pytest.mark.parametrize("is_new", [False])
def test_of_several_folders_none_is_edited(page, server, rendering):
    make_folder(server, "promoted_one", "first"), make_folder(server, "promoted_other", "second")
    load_workflow(page, BLUEPRINT)
    page.evaluate(SET, ["folder", "promoted_one"])
    page.evaluate(COPY_HOST, "promoted_other")
    enter(page, "BakeryLoadDataset")
    said = "document.querySelector('.bakery-dataset .bakery-status').textContent"
    wait(page, f"{said}.includes('promoted_one') && {said}.includes('promoted_other')")
    assert page.locator(".bakery-image").count() == 0
    assert page.locator(".bakery-add").is_hidden()


@pytest.mark.parametrize(("mode", "is_new"), [(2, False), (4, False)], ids=["muted", "bypassed"])
def test_of_two_uses_the_one_that_is_on_counts(page, server, rendering, mode):
    make_folder(server, "promoted_one", "first"), make_folder(server, "promoted_other", "second")
    load_workflow(page, BLUEPRINT)
    page.evaluate(SET, ["folder", "promoted_one"])
    page.evaluate(COPY_HOST, "promoted_other")
    page.evaluate("mode => (window.app.rootGraph._nodes[0].mode = mode)", mode)
    enter(page, "BakeryLoadDataset")
    wait(page, "document.querySelector('.bakery-image textarea')?.value === 'second'")
    sent = {node["inputs"]["folder"] for node in prompt_of(page).values() if node["class_type"] == "BakeryLoadDataset"}
    assert sent == {"promoted_other"}


@pytest.mark.parametrize("is_new", [False, True])
def test_a_promoted_name_shows_its_run(page, server, rendering):
    show_saved_run(server, "promoted_run")
    load_workflow(page, BLUEPRINT)
    enter(page, "BakeryTrain")
    page.evaluate(SET, ["name", "promoted_run"])
    wait(page, "document.querySelectorAll('.bakery-cell').length > 0")
    page.evaluate(SET, ["name", "nobody"])
    wait(page, "document.querySelector('.bakery-training .bakery-empty').checkVisibility()")


@pytest.mark.both_pages
@pytest.mark.parametrize("is_new", [False, True])
def test_other_workflows_leave_nothing_that_listens_or_asks(page, server, rendering):
    show_saved_run(server, "leaving")
    page.evaluate(COUNT)
    for _ in range(3):
        load_workflow(page, BLUEPRINT)
        page.evaluate(SET, ["name", "leaving"])
        enter(page, "BakeryTrain")
        wait(page, "document.querySelectorAll('.bakery-training').length === 1")
        wait(page, "window.counts.watching > 0")
        load_workflow(page, {"nodes": [], "links": [], "version": 0.4})
        wait(page, "window.counts.watching === 0")
    settle(page)  # else what was asked before is heard of now
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/bakery/" in request.url else None)
    page.evaluate("() => window.app.api.dispatchEvent(new CustomEvent('execution_success', { detail: {} }))")
    settle(page)
    assert asked == []
    page.evaluate("() => window.undoCounts()")


@pytest.mark.parametrize("is_new", [False])
def test_a_subgraph_that_is_deleted_ends_its_panels(page, server, rendering):
    show_saved_run(server, "leaving")
    page.evaluate(COUNT)
    load_workflow(page, BLUEPRINT)
    enter(page, "BakeryTrain")
    wait(page, "window.counts.watching > 0")
    page.evaluate("""() => {
        const { canvas, rootGraph } = window.app;
        canvas.setGraph(rootGraph);
        rootGraph.remove(rootGraph._nodes[0]);
    }""")
    wait(page, "window.counts.watching === 0")
    page.evaluate("() => window.undoCounts()")


INSIDE = """kinds => {
    const { graph, canvas } = window.app;
    const nodes = kinds.map((kind, index) => {
        const node = LiteGraph.createNode(kind);
        node.pos = [60 + 500 * index, 40];
        graph.add(node);
        return node;
    });
    const { node: host, subgraph } = graph.convertToSubgraph(new Set(nodes));
    canvas.openSubgraph(subgraph, host);
    canvas.ds.scale = 1;
    canvas.ds.offset = [0, 0];
}"""
PANELS = "document.querySelectorAll('.bakery-panel').length"
LEAVE = {
    "the canvas is emptied": "window.app.rootGraph.clear()",
    "the subgraph is deleted": "window.app.rootGraph.remove(window.app.rootGraph._nodes[0])",
    "another workflow comes": "window.app.loadGraphData({ nodes: [], links: [], version: 0.4 })",
}


@pytest.mark.parametrize("way", LEAVE)
def test_no_panel_in_a_subgraph_outlives_it(page, server, way):
    for _ in range(3):
        page.evaluate(INSIDE, ["BakeryLoadDataset", "BakeryTrain", "BakeryCompare"])
        wait(page, f"{PANELS} === 3")
        page.evaluate("() => window.app.canvas.setGraph(window.app.rootGraph)")
        page.evaluate(f"() => {{ {LEAVE[way]}; }}")
        wait(page, f"{PANELS} === 0")
