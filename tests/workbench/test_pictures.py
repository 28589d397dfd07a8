"""The strips of the guide: drawn end to end in a few steps, kept between calls, and all of them shown in the guide."""

import re
from pathlib import Path

import pytest
from pack.workbench.pictures.__main__ import IMAGES, chosen, make, names
from pack.workbench.pictures.bakes import SIZE_PX, Bake, training_graph
from pack.workbench.pictures.darkroom import Darkroom, Scale
from pack.workbench.pictures.sheet import GAP_PX, HEAD_PX, LABEL_PX, SIDE_PX, ZOOM, draw_sheet, sheet_size
from pack.workbench.pictures.strips import CAPTIONS, STEPS, STRENGTH, STRIPS, Row
from PIL import Image, ImageChops

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide"
SCALE = Scale(most_steps=2, sampling_steps=2)


def test_every_strip_is_in_the_guide_as_the_command_lays_it_out():
    pages = "\n".join(page.read_text(encoding="utf-8") for page in GUIDE.glob("*.md"))
    shown = re.findall(r"\(\.\./images/(\w+)\.png\)", pages)
    for strip in STRIPS:
        assert strip.name in shown
        with Image.open(IMAGES / f"{strip.name}.png") as picture:
            assert picture.size == sheet_size(strip)


def test_settings_that_are_alike_are_trained_once_and_others_apart():
    bakes = {row.bake.name for strip in STRIPS for row in strip.rows if row.bake}
    rows = [row for strip in STRIPS for row in strip.rows if row.bake]
    assert len({repr(row.bake) for row in rows}) == len(bakes) < len(rows)
    assert Bake().name != Bake(rate=4e-3).name != Bake(captions={"prune": "x"}).name


def test_steps_on_the_way_are_saved():
    saved = [row for strip in STRIPS for row in strip.rows if row.step]
    assert saved and all(row.bake.save_every and row.step % row.bake.save_every == 0 for row in saved)


def test_names_are_unique_and_wrong_ones_refused():
    assert len(set(names(STRIPS))) == len(STRIPS)
    assert names(chosen(["rank", "steps"])) == ["steps", "rank"]
    with pytest.raises(SystemExit, match="no rnak"):
        chosen(["rnak"])


def test_a_graph_holds_what_its_bake_names():
    graph = training_graph(Bake(captions={"prune": "x"}, has_class_images=True, steps=7))
    assert graph["train"]["inputs"]["dataset"] == ["both", 0] and graph["both"]["inputs"]["dataset_1"] == [
        "captions", 0,
    ]  # fmt: skip
    assert (graph["train"]["inputs"]["steps"], graph["train"]["inputs"]["save_every"]) == (7, 7)
    assert training_graph(Bake())["train"]["inputs"]["dataset"] == ["pictures", 0]


def test_each_picture_lies_below_its_column_beside_its_row():
    colors = [[(40 * row, 40 * column, 200) for column in range(len(STEPS.columns))] for row in range(len(STEPS.rows))]
    pictures = []
    for row in colors:
        pictures.append(Image.new("RGB", (SIZE_PX * len(row), SIZE_PX)))
        for column, color in enumerate(row):
            pictures[-1].paste(color, (column * SIZE_PX, 0, (column + 1) * SIZE_PX, SIZE_PX))
    sheet = draw_sheet(STEPS, pictures).convert("RGB")
    for row, wanted in enumerate(colors):
        for column, color in enumerate(wanted):
            place = (
                LABEL_PX + column * (SIDE_PX + GAP_PX) + ZOOM * 30, HEAD_PX + row * (SIDE_PX + GAP_PX) + ZOOM * 30
            )  # fmt: skip
            assert max(abs(a - b) for a, b in zip(sheet.getpixel(place), color, strict=True)) < 8


@pytest.mark.comfy
@pytest.mark.full
def test_trains_draws_and_keeps(comfy, pocket_checkpoint, tmp_path, capsys):
    rooms = []

    def open_darkroom():
        rooms.append(Darkroom(comfy, SCALE))
        return rooms[0]

    strips = (CAPTIONS, STRENGTH)
    drawn = {strip.name: picture for strip, picture in make(strips, open_darkroom, tmp_path, SCALE)}
    assert len(rooms) == 1
    assert "background left out" in capsys.readouterr().out
    rows = [row_of(drawn["strength"], index) for index in range(len(STRENGTH.rows))]
    assert all(differ(upper, lower) for upper, lower in zip(rows, rows[1:], strict=False))
    assert differ(row_of(drawn["captions"], 0), row_of(drawn["captions"], 1))
    base = rooms[0].draw(Row(title="none"), ["zorblax", "creature"])
    assert base.size == (2 * SIZE_PX, SIZE_PX)

    def no_darkroom():
        raise AssertionError("everything is there")

    again = {strip.name: picture for strip, picture in make(strips, no_darkroom, tmp_path, SCALE)}
    assert again["strength"].tobytes() == drawn["strength"].tobytes()


def row_of(sheet, index):
    top = HEAD_PX + index * (SIDE_PX + GAP_PX)
    return sheet.convert("RGB").crop((LABEL_PX, top, sheet.width, top + SIDE_PX))


def differ(one, other):
    return ImageChops.difference(one, other).getbbox() is not None
