"""The routes refuse what comes too late or is about another run, and answer what pictures and folders are."""

import json
import shutil
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from pack.tests.host.nodes.test_routes import RUN, SET, dataset, one, post, site  # noqa: F401
from pack.training.watch.control import COMMANDS
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytestmark = pytest.mark.comfy


BODIES = {"rate": {"factor": 0.5}, "try": {"prompt": "fox"}, "pick": {"step": 10}}
"""Of commands that need one."""
OF_ANOTHER = (
    "?name=other%20name",
    "?name=nobody",
    "?name=",
    "",
    "?name=other%20name&name=nobody",
    "?name=nobody&name={}",
)
"""Ways to name a run by an id that two names have; `{}` is the run in training."""


@pytest.fixture
def twin(site):  # noqa: F811
    """An equal run of another name: its id is the same."""
    from pack.nodes.comfy_bridge.host.run_folders import loras_output
    from pack.training.run.folder import RunFolder

    folder = RunFolder(loras_output() / "other name", RUN)
    folder.private.mkdir(parents=True, exist_ok=True)
    folder.record.write_text(site.folder.record.read_text())
    yield folder
    shutil.rmtree(folder.root)


def steered(control, folder):
    """What commands have changed about a run."""
    from pack.training.run.picks import load_pick

    prompts, state = control.take_prompts(), (control.is_stopped, control.is_paused, control.waiting)
    return state, control.take(), prompts, load_pick(folder)


@pytest.mark.parametrize("command", [*COMMANDS, "try", "pick"])
def test_a_command_reaches_the_run_of_its_name_alone(site, twin, command):  # noqa: F811
    control, body = site.live.open_run(site.folder, "1"), BODIES.get(command, {})
    if command == "resume":
        control.command("pause")
    untouched, name, path = steered(control, site.folder), quote(site.folder.name), f"/bakery/runs/{RUN}/{command}"
    for query in OF_ANOTHER:
        status, answer, _ = one(site, "POST", path + query.format(name), json=body)
        assert (status in (400, 404), steered(control, site.folder)) == (True, untouched), (query, answer)
        assert not (twin.private / "pick.json").exists()
    assert one(site, "POST", f"/bakery/runs/{RUN[::-1]}/{command}?name={name}", json=body)[0] == 404
    assert steered(control, site.folder) == untouched
    assert one(site, "POST", f"{path}?name={name}", json=body)[0] == 200
    assert steered(control, site.folder) != untouched
    (site.folder.private / "pick.json").unlink(missing_ok=True)


def test_equal_runs_of_two_names_may_both_train(site, twin):  # noqa: F811
    mine, others = site.live.open_run(site.folder, "1"), site.live.open_run(twin, "2")
    assert one(site, "POST", f"/bakery/runs/{RUN}/stop?name=other%20name", json={})[0] == 200
    assert (mine.is_stopped, others.is_stopped) == (False, True)
    end = site.live.CloseRun(twin, site.events)
    end.on_end(SimpleNamespace(total_steps=1), SimpleNamespace(step=1), None)
    view = json.loads(one(site, "GET", f"/bakery/runs/{RUN}?name={quote(site.folder.name)}")[1])
    assert view["state"] == "running"


def test_a_run_that_two_names_have_is_asked_for_by_name(site, twin):  # noqa: F811
    for path in (f"/bakery/runs/{RUN}", f"/bakery/runs/{RUN}/previews/{SET}/step000000-00.png"):
        status, answer, _ = one(site, "GET", path)
        said = json.loads(answer)["error"]
        assert (status, RUN in said, twin.name in said, "?name=" in said) == (400, True, True, True)
        assert one(site, "GET", f"{path}?name={quote(site.folder.name)}")[0] == 200


def test_taking_a_pick_back_leaves_another_pick(site):  # noqa: F811
    for step in (10, 20):
        site.folder.step_lora(step).write_bytes(b"")
    path = f"/bakery/runs/{RUN}/pick"
    assert one(site, "POST", path, json={"step": 20})[0] == 200
    assert json.loads(one(site, "POST", path, json={"step": None, "was": 10})[1]) == {"pick": 20}
    assert json.loads(one(site, "POST", path, json={"step": None, "was": 20})[1]) == {"pick": None}
    site.folder.step_lora(20).unlink()


def test_an_edit_that_comes_too_late_is_answered_with_what_is_there(dataset):  # noqa: F811
    listing = json.loads(one(dataset, "GET", "/bakery/dataset?folder=set")[1])
    version = listing["images"][0]["version"]
    (dataset.folder / "a.txt").write_text("by another")
    status, answer = post(dataset, "captions", folder="set", captions={"a.png": "mine"}, versions={"a.png": version})
    assert (status, answer["images"][0]["caption"]) == (409, "by another")
    version = answer["images"][0]["version"]
    sent = {"captions": {"a.png": "mine"}, "versions": {"a.png": version}, "with_images": True}
    status, answer = post(dataset, "captions", folder="set", **sent)
    assert (status, answer["images"][0]["caption"], answer["before"]) == (200, "mine", {"a.png": "by another"})
    status, answer = post(dataset, "mark", folder="set", marks={"a.png": None}, based_on={"a.png": "validation"})
    assert (status, answer["images"][0]["mark"]) == (409, None)
    for bad in ({"versions": []}, {"versions": {"a.png": 5}}, {"caption_extension": ".png"}, {"metadata": "../x.json"}):
        assert post(dataset, "captions", folder="set", captions={"a.png": "x"}, **bad)[0] in (400, 409)
    assert (dataset.folder / "a.txt").read_text() == "mine"


def test_a_folder_with_a_broken_file_is_listed(dataset):  # noqa: F811
    Image.new("RGB", (9, 9)).save(dataset.folder / "b.png")
    (dataset.folder / "b.txt").write_bytes(b"\xff\xfe")
    (dataset.folder / "marks.json").write_text("{")
    status, body, _ = one(dataset, "GET", "/bakery/dataset?folder=set&caption_extension=.tags&metadata=no.json")
    listing = json.loads(body)
    shown = {image["name"]: image for image in listing["images"]}
    assert status == 200 and {"a.png", "b.png"} <= set(shown)
    assert "UTF-8" in shown["b.png"]["problem"] and shown["a.png"]["problem"] == ""
    assert len(listing["problems"]) == 2 and ".png" in listing["formats"]
    for name in ("b.png", "b.txt", "marks.json"):
        (dataset.folder / name).unlink()


def test_a_picture_that_cannot_be_shown_is_the_askers_fault(dataset, monkeypatch):  # noqa: F811
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    status, body, _ = one(dataset, "GET", "/bakery/dataset/picture?folder=set&name=a.png&size=32")
    assert status == 400
    assert "a.png cannot be read" in json.loads(body)["error"]


def test_more_than_a_mebibyte_of_captions_is_taken(dataset):  # noqa: F811
    (dataset.folder / "many").mkdir(exist_ok=True)
    names = [f"{number}.png" for number in range(80)]
    for name in names:
        Image.new("RGB", (2, 2)).save(dataset.folder / "many" / name)
    captions = {name: "x" * 15_000 for name in names}
    assert post(dataset, "captions", folder="set/many", captions=captions)[0] == 200
    assert (dataset.folder / "many" / "79.txt").read_text() == "x" * 15_000


PROMPT = {
    "3": {"class_type": "KSampler", "inputs": {"negative": ["7", 0], "positive": ["6", 0], "latent_image": ["5", 0]}},
    "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 64}},
    "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox,\nred hair", "clip": ["4", 1]}},
    "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly", "clip": ["4", 1]}},
    "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0]}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["8", 0], "filename_prefix": "x"}},
    "12": {"class_type": "CLIPTextEncode", "inputs": {"text": ["13", 0], "clip": ["4", 1]}},
    "13": {"class_type": "PrimitiveString", "inputs": {"value": "from a link"}},
    "14": {"class_type": "KSampler", "inputs": {"positive": ["12", 0]}},
    "19": {"class_type": "SaveImage", "inputs": {"images": ["14", 0]}},
}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("9", "a fox, red hair"),
        ("19", "from a link"),
        ("", "a fox, red hair"),
        ("99", "a fox, red hair"),
        ("7", "a fox, red hair"),
    ],
)
def test_a_picture_tells_its_own_prompt(dataset, comfy, node, expected):  # noqa: F811
    info = PngInfo()
    info.add_text("prompt", json.dumps(PROMPT))
    Image.new("RGB", (8, 8)).save(comfy.base / "output" / "told.png", pnginfo=info)
    path = f"/bakery/dataset/prompt?filename=told.png&subfolder=&type=output&node={node}"
    assert json.loads(one(dataset, "GET", path)[1]) == {"prompt": expected}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"1": 5}', '{"1": {"inputs": {"positive": ["1", 0]}}}'])
def test_a_picture_without_a_readable_prompt_tells_none(dataset, comfy, text):  # noqa: F811
    info = PngInfo()
    info.add_text("prompt", text)
    Image.new("RGB", (8, 8)).save(comfy.base / "output" / "silent.png", pnginfo=info)
    status, body, _ = one(dataset, "GET", "/bakery/dataset/prompt?filename=silent.png&subfolder=&type=output")
    assert (status, json.loads(body)) == (200, {"prompt": ""})
