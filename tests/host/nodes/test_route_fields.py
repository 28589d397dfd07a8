"""Every field of a route takes what it declares; all else is refused by field, wanted and got, and changes nothing."""

import gzip
import json
import zlib
from urllib.parse import quote

import pytest
from pack.tests.host.nodes.test_routes import RUN, compared, dataset, one, post, site, talk  # noqa: F401
from PIL import Image

pytestmark = pytest.mark.comfy
HUGE = 10**300
WRONG = (
    None, True, False, 0, -1, 1.5, HUGE, 1e308, "", " ", "x", "\ud800", "a\x00b", "\n", "..", "../x", "/etc/passwd",
    "C:\\Users\\me", "\\\\server\\share", "~/x", "a//b", "./a", "a/", "é" * 200, "a" * 256, "a" * 30_000, [], [None],
    [[]], ["x"], [["a.png"]], [True, False], [[0, 1, 2]], {}, {"a.png": None}, {"a.png": []}, {"a.png": {"b": 1}},
    {"": "x"}, {"..": "x"}, {"\ud800": "x"}, {"a" * 300 + ".png": "x"}, [{"filename": "made.png", "type": 5}],
    [{"filename": "\ud800.png"}], [{"filename": None}], [{"subfolder": "x"}], [{}], [[{}]],
)  # fmt: skip
PATHS = ("/etc/passwd", "C:\\Users", "\\\\server", "~/x")

DATASET = {
    "captions": {"captions": {"a.png": "x"}, "versions": {}},
    "tag": {"tag": "no such tag", "new": "y"},
    "mark": {"marks": {"a.png": None}, "based_on": {}},
    "exclude": {"name": "a.png", "is_excluded": False},
    "remove": {"names": ["a.png"], "is_removed": False},
    "keep": {"images": [{"filename": "made.png", "subfolder": "", "type": "output"}], "caption": "x"},
}
"""Bodies that are right."""


def fields_of(action):
    from pack.nodes.comfy_bridge.page import routes_dataset

    names = {"mark": "MARK_FIELDS"}
    return getattr(routes_dataset, names.get(action, action.upper()))


def state(base):
    return {path: path.read_bytes() for path in base.rglob("*") if path.is_file() and path.suffix != ".log"}


@pytest.mark.parametrize("action", DATASET)
def test_every_field_of_a_dataset_route_refuses_what_it_does_not_declare(dataset, comfy, action):  # noqa: F811
    right = {"folder": "set", **DATASET[action]}
    fields = fields_of(action)
    cases = [(field, wrong) for field in fields for wrong in WRONG]
    requests = [("POST", f"/bakery/dataset/{action}", {"json": {**right, field: wrong}}) for field, wrong in cases]
    before, refused = state(comfy.base), 0
    for (field, wrong), (status, body, kind) in zip(cases, talk(dataset, *requests), strict=True):
        assert (status in (200, 400, 404, 409), kind) == (True, "application/json"), (field, wrong, body)
        answer = json.loads(body)
        if status == 400 and "must" in answer["error"] and "got" in answer["error"]:
            refused += 1
            assert field in answer["error"] or "folder" in answer["error"], (wrong, answer)
        assert not any(path in answer.get("error", "") for path in PATHS), answer
        assert str(comfy.base) not in body.decode()
    assert refused > len(cases) // 2
    changed = {path for path, data in state(comfy.base).items() if before.get(path) != data}
    assert all((comfy.base / "input" / "set") in path.parents or action == "keep" for path in changed), changed
    for path in changed - set(before):
        path.unlink()


@pytest.mark.parametrize("action", DATASET)
def test_a_field_that_is_missing_or_unknown_is_named(dataset, action):  # noqa: F811
    from pack.nodes.comfy_bridge.page.fields import REQUIRED

    right = {"folder": "set", **DATASET[action]}
    for name, field in fields_of(action).items():
        if field.default is REQUIRED:
            status, answer = post(dataset, action, **{key: value for key, value in right.items() if key != name})
            assert (status, f"{name} must be" in answer["error"], "nothing" in answer["error"]) == (400, True, True)
    status, answer = post(dataset, action, **right, surprise=1)
    assert status == 400 and "surprise" in answer["error"] and "folder" in answer["error"]


@pytest.mark.parametrize("command", ["pause", "resume", "save", "sample", "stop", "rate", "try", "pick"])
def test_every_field_of_a_command_refuses_what_it_does_not_declare(site, command):  # noqa: F811
    site.live.open_run(site.folder, "1")
    names = ("step", "was", "factor", "prompt", "seed", "strength", "surprise")
    right = {"rate": {"factor": 1.0}, "try": {"prompt": "x"}, "pick": {"step": 10}}.get(command, {})
    bodies = [{**right, name: wrong} for name in names for wrong in WRONG]
    requests = [("POST", f"/bakery/runs/{RUN}/{command}", {"json": body}) for body in bodies]
    for body, (status, answer, kind) in zip(bodies, talk(site, *requests), strict=True):
        assert (status in (200, 400), kind) == (True, "application/json"), (body, answer)


def test_every_field_of_a_comparison_refuses_what_it_does_not_declare(compared):  # noqa: F811
    cases = [("votes", {name: wrong}) for name in ("add", "take_back", "votes", "x") for wrong in WRONG]
    cases += [("choice", {"cell": wrong, "based_on": other}) for wrong in WRONG for other in (None, 0, "x", [])]
    cases += [("votes", {"votes": [[0, 1]] * 10_001}), ("votes", {"add": [0, 1], "votes": []}), ("votes", {})]
    cases += [("votes", {"votes": [value]}) for value in WRONG]
    requests = [("POST", f"{compared.path}/{action}", {"json": body}) for action, body in cases]
    for case, (status, answer, kind) in zip(cases, talk(compared, *requests), strict=True):
        assert (status in (200, 400, 409), kind) == (True, "application/json"), (case, answer)
        if status == 200:
            votes = json.loads(answer)["votes"]
            assert all(len(vote) == 2 and set(vote) <= {0, 1} for vote in votes), case


@pytest.mark.parametrize(
    ("action", "body", "named"),
    [
        ("captions", {"captions": "a.png"}, ("captions", "'a.png'")),
        ("captions", {"captions": ["a.png"]}, ("captions", "a list of 1")),
        ("captions", {"captions": {}}, ("captions", "an object of 0")),
        ("captions", {"captions": {"a.png": None}}, ("captions['a.png']", "null")),
        ("captions", {"captions": {"a.png": "\ud800"}}, ("captions['a.png']", "Unicode")),
        ("mark", {"marks": [["a.png", "validation"]]}, ("marks", "a list of 1")),
        ("mark", {"marks": {"a.png": "best"}}, ("marks['a.png']", "'best'")),
        ("keep", {"images": [None]}, ("images[0]", "null")),
        ("keep", {"images": [{"filename": ["x"]}]}, ("images[0].filename", "a list of 1")),
        ("keep", {"images": [{"filename": "made.png"}, {"filename": "made.png", "type": "best"}]}, ("images[1].type",)),
        ("remove", {"names": ["a.png", 5], "is_removed": True}, ("names[1]", "5")),
        ("exclude", {"name": "a.png", "is_excluded": "yes"}, ("is_excluded", "true or false", "'yes'")),
        ("tag", {"tag": "fox\nred", "new": ""}, ("tag", "line")),
        ("tag", {"tag": " \t", "new": ""}, ("tag", "not empty")),
    ],
)
def test_the_place_that_is_wrong_is_named(dataset, action, body, named):  # noqa: F811
    status, answer = post(dataset, action, folder="set", **body)
    assert status == 400
    assert all(word in answer["error"] for word in named), answer


NAMES = ("mira ", " mira", "mira\n", "mira\r\n", "mira\t", "mira/", "/mira", "./mira", "mira/.", "mira//x", "MIRA\x00",
         "mira\u2028", "mira\u00a0", "mira\\", "sub\\..\\mira", "mira\x7f", "mi\u0301ra")  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_folders_name_is_taken_exactly_or_refused(dataset, comfy, name):  # noqa: F811
    folder = comfy.base / "input" / "mira"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (4, 4)).save(folder / "m.png")
    status, body, _ = one(dataset, "GET", f"/bakery/dataset?folder={quote(name)}")
    assert status == 400 or json.loads(body)["exists"] is False
    assert one(dataset, "GET", f"/bakery/dataset/picture?folder={quote(name)}&name=m.png")[0] in (400, 404)
    for action, values in DATASET.items():
        if action != "keep":
            assert post(dataset, action, folder=name, **values)[0] in (400, 404), action
    assert sorted(path.name for path in folder.iterdir()) == ["m.png"]


def test_a_folder_that_has_such_a_name_is_shown(dataset, comfy):  # noqa: F811
    for name in ("white ", "dot.", "CON", "u\u0308"):
        folder = comfy.base / "input" / name
        folder.mkdir(exist_ok=True)
        Image.new("RGB", (4, 4)).save(folder / "m.png")
        status, body, _ = one(dataset, "GET", f"/bakery/dataset?folder={quote(name)}")
        assert (status, json.loads(body)["total"]) == (200, 1), name
        assert post(dataset, "captions", folder=name, captions={"m.png": "x"})[0] == 200
        assert (folder / "m.txt").read_text() == "x"


def test_what_is_in_the_way_is_a_word(dataset, comfy):  # noqa: F811
    made = [{"filename": "made.png"}]
    (comfy.base / "input" / "set" / "a file").write_text("")
    for folder in ("set/a.png", "set/a.png/below", "set/a file/x", "/".join(["y" * 250] * 2)):
        status, answer = post(dataset, "keep", folder=folder, images=made)
        assert status == 400 and "error" in answer, folder
    long = "z" * 251 + ".png"
    Image.new("RGB", (4, 4)).save(dataset.folder / long)
    status, answer = post(dataset, "captions", folder="set", captions={long: "x"})
    assert status in (200, 400)
    assert str(comfy.base) not in json.dumps(answer)
    (dataset.folder / long).unlink()


BODIES = {
    "list": b"[]",
    "text": b'"x"',
    "number": b"1",
    "cut": b'{"folder": ',
    "deep": b'{"a":' * 30_000,
    "open": b"[" * 900_000,
    "UTF-16": "{}".encode("utf-16"),
    "twice": b'{"folder": "a", "folder": "b"}',
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_is_no_object_is_a_word_on_every_route(dataset, compared, site, kind):  # noqa: F811
    from pack.nodes.comfy_bridge.page import routes_register

    site.routes = routes_register
    header = {"Content-Type": "application/json"}
    paths = [f"/bakery/dataset/{action}" for action in DATASET]
    paths += [
        f"{compared.path}/votes",
        f"{compared.path}/choice",
        f"/bakery/runs/{RUN}/pick",
        f"/bakery/runs/{RUN}/stop",
    ]
    answers = talk(site, *(("POST", path, {"data": BODIES[kind], "headers": header}) for path in paths))
    for path, (status, body, _) in zip(paths, answers, strict=True):
        assert (status, "body" in json.loads(body)["error"]) == (400, True), (path, body)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "rot13", "gzip, gzip"])
def test_a_compressed_body_is_refused(dataset, encoding):  # noqa: F811
    body = json.dumps({"folder": "set", "captions": {"a.png": "x"}}).encode()
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(encoding, body)
    headers = {"Content-Type": "application/json", "Content-Encoding": encoding}
    status, answer, _ = one(dataset, "POST", "/bakery/dataset/captions", data=packed, headers=headers)
    assert status == 400
    if b"{" in answer:  # else the host refused it before us
        assert "compressed" in json.loads(answer)["error"]


SIMPLE = (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "text/plain;application/json")
"""What a page of another site can send without asking first; None: no body, no type."""


@pytest.mark.parametrize("kind", SIMPLE)
def test_no_post_counts_that_another_site_could_send(dataset, compared, site, comfy, kind):  # noqa: F811
    from pack.nodes.comfy_bridge.page import routes_register

    site.routes = routes_register
    control = site.live.open_run(site.folder, "1")
    before = state(comfy.base)
    paths = [path for method, path, _ in routes_register.ROUTES if method == "POST" and "dataset" in path]
    paths += [f"{compared.path}/votes", f"{compared.path}/choice"]
    paths += [f"/bakery/runs/{RUN}/{command}" for command in ("pause", "stop", "save", "sample", "rate", "try", "pick")]
    body = json.dumps({"folder": "set", "captions": {"a.png": "hacked"}}).encode()
    options = {} if kind is None else {"data": body, "headers": {"Content-Type": kind}}
    for path, (status, answer, _) in zip(paths, talk(site, *(("POST", path, options) for path in paths)), strict=True):
        assert status == 400 and "application/json" in json.loads(answer)["error"], path
    assert (control.is_paused, control.is_stopped, control.take_prompts()) == (False, False, [])
    assert state(comfy.base) == before
