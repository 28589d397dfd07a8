"""Each example opens with no node over another and its note in full, in both renderings; a queued one stays so."""

import json
from itertools import combinations

import pytest
from pack.tests.browser.page import settle, use_rendering, wait
from pack.tests.host.test_examples_run import FEW
from pack.tests.support.browser import load_workflow
from pack.tests.support.cases import chosen
from pack.tests.support.paths import ROOT
from pack.workbench.examples.data import add_example_data
from pack.workbench.examples.examples import SHIPPED

pytestmark = pytest.mark.browser
ARE_GALLERIES_FULL = """[...document.querySelectorAll(".bakery-dataset")]
    .every((gallery) => gallery.querySelector(".bakery-image img"))"""
SHOW_ALL = """() => {
  const { graph, canvas } = window.app;
  const edge = (side) => Math.max(...graph._nodes.map((node) => node.pos[side] + node.size[side]));
  canvas.ds.scale = Math.min(1500 / edge(0), 880 / edge(1));
  canvas.ds.offset = [80 / canvas.ds.scale, 90 / canvas.ds.scale];
  canvas.setDirty(true, true);
}"""
BOXES = """(isNew) => {
  const { graph, canvas } = window.app;
  return graph._nodes.map((node) => {
    if (!isNew) return [node.title, ...node.boundingRect];
    const box = document.querySelector(`.lg-node[data-node-id="${node.id}"]`).getBoundingClientRect();
    return [node.title, ...[box.x, box.y, box.width, box.height].map((value) => value / canvas.ds.scale)];
  });
}"""
SHOW_NOTE = """() => {
  const { canvas } = window.app;
  canvas.ds.scale = 0.8;
  canvas.ds.offset = [100, 100];
  canvas.setDirty(true, true);
}"""
NOTE = "[...document.querySelectorAll('.comfy-markdown, .widget-markdown')].find((note) => note.checkVisibility())"
HEIGHTS = f"""() => {{
  const note = {NOTE};
  return [note, ...note.querySelectorAll("*")].map((part) => [part.scrollHeight, part.clientHeight])
    .filter(([, room]) => room); // inline parts have none
}}"""
QUEUE = """async (few) => {
  for (const widget of window.app.graph._nodes.flatMap((node) => node.widgets ?? []))
    if (widget.name in few && Number.isInteger(widget.value)) widget.value = Math.min(widget.value, few[widget.name]);
  await window.app.queuePrompt(0);
}"""
ARE_PICTURES_SHOWN = """window.app.graph._nodes
    .filter((node) => node.type === "PreviewImage")
    .every((node) => window.app.nodeOutputs[node.id]?.images?.length)"""


@pytest.fixture(scope="module")
def data(server, browser, pocket_checkpoint):
    """All that the examples name."""
    add_example_data(server.input)


@pytest.fixture(params=[False, True], ids=["classic", "new"])
def is_new(request, page, data):
    """One of the two renderings."""
    use_rendering(page, request.param)
    return request.param


def show(page, name):
    load_workflow(page, json.loads((ROOT / "example_workflows" / f"{name}.json").read_text(encoding="utf-8")))
    page.evaluate(SHOW_ALL)
    wait(page, ARE_GALLERIES_FULL)


def final_boxes(page, is_new):
    """Titles, places and sizes of the nodes once they stay: panels grow with what the server answers."""
    seen = []
    while len(seen) < 4 or seen[-4:] != [seen[-1]] * 4:
        settle(page)
        seen.append(page.evaluate(BOXES, is_new))
        assert len(seen) < 200, "the nodes do not come to rest"
    return seen[-1]


def overlaps(page, is_new):
    """Pairs of nodes of which one lies over the other, titles included."""
    boxes = final_boxes(page, is_new)
    assert len(boxes) > 5
    return [(first[0], second[0]) for first, second in combinations(boxes, 2) if do_meet(first[1:], second[1:])]


def do_meet(first, second):
    return all(first[axis] < second[axis] + second[axis + 2] and second[axis] < first[axis] + first[axis + 2]
               for axis in (0, 1))  # fmt: skip


EVERY_DAY = ("train_then_sample", "masked_training", "from_kohya", "small_model_train_then_sample")


@pytest.mark.parametrize("name", chosen(SHIPPED, EVERY_DAY))
def test_no_node_lies_over_another_and_the_note_is_read_without_scrolling(page, is_new, name):
    show(page, name)
    assert overlaps(page, is_new) == []
    page.evaluate(SHOW_NOTE)
    wait(page, f"{NOTE}?.clientHeight > 100")
    assert [(text, room) for text, room in page.evaluate(HEIGHTS) if text > room + 2] == []
    assert page.problems == []


@pytest.mark.full
@pytest.mark.parametrize("name", ["small_model_train_then_sample"])
def test_none_does_once_it_has_run(page, is_new, name):
    show(page, name)
    page.evaluate(QUEUE, FEW)
    wait(page, ARE_PICTURES_SHOWN)
    wait(page, "document.querySelectorAll('.bakery-training .bakery-cell').length > 0")
    assert overlaps(page, is_new) == []


def test_two_that_meet_are_found(page, is_new):
    show(page, "recipe")
    page.evaluate("() => { const [, , a, b] = window.app.graph._nodes; b.pos = [a.pos[0] + 40, a.pos[1] - 20]; }")
    page.evaluate(SHOW_ALL)
    assert overlaps(page, is_new) != []
