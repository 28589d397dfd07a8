"""Each example has a picture and a note in both languages, and is what the nodes make of it now."""

import json

import pytest
from pack.tests.support.paths import ROOT
from pack.workbench.examples.cards import SIZE
from pack.workbench.examples.data import CHARACTER, MASKS, ONE_IMAGE, add_example_data
from pack.workbench.examples.examples import SHIPPED, composed
from pack.workbench.texts import is_chinese
from PIL import Image

FOLDER = ROOT / "example_workflows"


def test_every_file_has_its_function_and_a_picture():
    assert {path.stem for path in FOLDER.glob("*.json")} == set(SHIPPED)
    assert {path.stem for path in FOLDER.glob("*.jpg")} == set(SHIPPED)
    for name in SHIPPED:
        with Image.open(FOLDER / f"{name}.jpg") as picture:
            assert picture.size == SIZE


@pytest.mark.parametrize("name", SHIPPED)
def test_a_note_explains_it_in_english_and_chinese(name):
    nodes = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["nodes"]
    notes = [node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote"]
    assert len(notes) == 1
    english, chinese = notes[0].removeprefix("## ").split("\n## ")
    assert len(english) > 200 and not is_chinese(english)
    assert len(chinese) > 60 and is_chinese(chinese)


@pytest.mark.comfy
@pytest.mark.parametrize("name", SHIPPED)
def test_it_is_what_the_nodes_make_now(comfy, name):
    canvas = composed(name, comfy.object_info())
    saved = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    wanted = json.loads(json.dumps(canvas.workflow()))
    for workflow in (saved, wanted):
        for node in workflow["nodes"]:
            node.pop("size"), node.pop("pos")
    assert saved == wanted, "run: python dev.py workflows"


def test_data_of_the_examples_is_written_once(tmp_path):
    add_example_data(tmp_path)
    first = {path.relative_to(tmp_path): path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    add_example_data(tmp_path)
    assert first == {path.relative_to(tmp_path): path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert (tmp_path / ONE_IMAGE).is_file()
    for path in (tmp_path / CHARACTER).glob("*.png"):
        with Image.open(tmp_path / MASKS / path.name) as mask:
            share = sum(mask.convert("L").histogram()[128:]) / (mask.width * mask.height)
        assert 0.1 < share < 0.9
