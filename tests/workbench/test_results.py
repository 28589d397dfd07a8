"""The card of every example shows what it drew when it was run."""

import json

import pytest
from pack.tests.support.paths import ROOT
from pack.workbench.examples.cards import PANEL_CORNER, draw_card, kept_panel
from pack.workbench.examples.examples import EXAMPLES
from pack.workbench.examples.results import PANEL_SIZE, RESULTS, SHOWN, draw_panel, find_node, two_by_two
from PIL import Image, ImageChops, ImageStat

FOLDER = ROOT / "example_workflows"
RAN = sorted(path.stem for path in RESULTS.glob("*.png"))
"""Examples whose pictures are kept; the cards of the others show the graph alone."""


def workflow(name):
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_nodes_whose_pictures_are_shown_are_there(name):
    for title in SHOWN[name]:
        node = find_node(workflow(name), title)
        assert node["type"] in ("PreviewImage", "SaveImage", "BakeryPlotPlan") and node["mode"] == 0
    with pytest.raises(LookupError, match="'nothing'"):
        find_node(workflow(name), "nothing")


@pytest.mark.parametrize("name", RAN)
def test_the_card_is_drawn_of_the_kept_pictures(name):
    panel = kept_panel(name)
    assert panel is not None and panel.size == PANEL_SIZE
    with Image.open(FOLDER / f"{name}.jpg") as card:
        part = card.convert("RGB").crop(
            (*PANEL_CORNER, *(a + b for a, b in zip(PANEL_CORNER, PANEL_SIZE, strict=True)))
        )
    assert max(ImageStat.Stat(ImageChops.difference(part, panel)).mean) < 6, "run: python dev.py workflows"


def test_no_panel_is_kept_of_an_example_that_is_gone():
    assert RAN and set(RAN) <= set(EXAMPLES)


def test_a_card_without_a_panel_is_all_graph():
    flow = workflow("train_then_sample")
    plain, full = draw_card(1, flow, None), draw_card(1, flow, Image.new("RGB", PANEL_SIZE, (255, 0, 0)))
    assert full.getpixel((PANEL_CORNER[0] + 5, PANEL_CORNER[1] + 5)) == (255, 0, 0)
    assert ImageChops.difference(plain, full).getbbox() is not None
    assert plain.size == full.size


def test_every_picture_is_on_the_panel_unbent():
    colors = [(250, 0, 0), (0, 250, 0), (0, 0, 250), (250, 250, 0)]
    squares = [Image.new("RGB", (64, 64), color) for color in colors]
    assert two_by_two(squares).size == (130, 130)
    wide = Image.new("RGB", (1000, 50), (0, 250, 250))
    panel = draw_panel([("four", squares)])
    assert {color for _, color in panel.getcolors(10**6)} >= set(colors)
    panel = draw_panel([("two", squares), ("wide", [wide])])
    found = panel.getcolors(panel.width * panel.height)
    counts = {color: count for count, color in found}
    sides = {round(counts[color] ** 0.5) for color in colors[:2]}
    assert not set(counts) & set(colors[2:])
    assert max(sides) - min(sides) <= 3 and min(sides) > 64
    assert counts[(0, 250, 250)] == PANEL_SIZE[0] * (PANEL_SIZE[0] // 20)
