"""The routes answer what is asked, refuse everything else, and touch nothing outside ComfyUI's folders."""

import asyncio
import json
import random
import string
from types import SimpleNamespace

import pytest
from PIL import Image

pytestmark = pytest.mark.comfy
RUN = "0123456789ab"
NAME = "rouțe <b>fox</b>".replace("<b>", "").replace("</b>", "")
SET = "abcdefabcdef"
SECRET = "this must not be read"
ATTACKS = (
    "..", "../..", "../../../../etc/passwd", "..%2f..%2fsecret.png", "%2e%2e/%2e%2e", "....//", "a/b", "\\..\\..",
    "C:\\x", "con", "", " ", ".", "<script>alert(1)</script>", "'; drop table", "%00", "\x00", "a" * 5000, "émoji🦊",
    "NaN", "-1", "1e9",
    "step000000-00.png/../../../../secret.png", "step000000-00.png\n", f"{RUN}\n", f"{RUN}-0", f"{RUN}-99999",
    "٠" * 12,
)  # fmt: skip


@pytest.fixture
def site(comfy, request):
    """Routes on a server of their own, a run with one preview, and a file outside that must stay unread."""
    from pack.nodes.comfy_bridge.host.run_folders import loras_output
    from pack.nodes.comfy_bridge.page import live, routes
    from pack.training.run.folder import RunFolder

    folder = RunFolder(loras_output() / NAME, RUN)
    (folder.previews / SET).mkdir(parents=True, exist_ok=True)
    folder.record.write_text(json.dumps({"format": 1, "base": "", "dataset": "", "segments": [], "description": {}}))
    (folder.root / ".run" / "current").write_text(RUN)
    (folder.previews / SET / "settings.json").write_text(json.dumps({"prompts": ["<img src=x onerror=alert(1)>"]}))
    Image.new("RGB", (300, 200), (255, 0, 0)).save(folder.previews / SET / "step000000-00.png")
    folder.step_lora(10).write_bytes(b"")
    outside = comfy.base / "secret.png"
    outside.write_text(SECRET)
    link = folder.previews / SET / "step000009-00.png"
    if not link.is_symlink():
        link.symlink_to(outside)
    events = SimpleNamespace(send=lambda kind, data: None)
    yield SimpleNamespace(routes=routes, live=live, folder=folder, events=events)
    live._runs.clear()


def talk(site, *requests):
    """Answers of (method, path, options) as (status, body bytes, content type)."""
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer
    from yarl import URL

    async def run():
        app = web.Application()
        app.add_routes([web.route(method, path, handler) for method, path, handler in site.routes.ROUTES])
        answers = []
        async with TestClient(TestServer(app)) as client:
            for method, path, options in requests:
                url = URL(str(client.make_url("/")).rstrip("/") + path, encoded=True)
                async with client.session.request(method, url, **options) as answer:
                    answers.append((answer.status, await answer.read(), answer.content_type))
        return answers

    return asyncio.run(run())


def one(site, method, path, **options):
    return talk(site, (method, path, options))[0]


def test_a_run_is_found_by_name_and_shown(site):
    from urllib.parse import quote

    status, body, kind = one(site, "GET", f"/bakery/runs?name={quote(NAME)}")
    assert (status, kind, json.loads(body)["runs"]) == (200, "application/json", [{"id": RUN, "state": "ended"}])
    status, body, kind = one(site, "GET", f"/bakery/runs/{RUN}")
    view = json.loads(body)
    assert (status, view["name"], view["loras"], view["state"]) == (200, NAME, [10], "ended")
    assert view["previews"][0]["prompts"] == ["<img src=x onerror=alert(1)>"]
    assert kind == "application/json"
    assert view["file"] is None, "nothing lies where people look for it"
    site.folder.latest_lora.write_bytes(b"")
    view = json.loads(one(site, "GET", f"/bakery/runs/{RUN}")[1])
    assert view["file"] == f"loras/{NAME}/{NAME}.safetensors"
    site.folder.latest_lora.unlink()
    assert one(site, "GET", f"/bakery/runs/{RUN}?name=other")[0] == 404
    assert json.loads(one(site, "GET", "/bakery/runs?name=nobody")[1])["runs"] == []


def test_a_run_whose_folder_was_moved_is_listed_while_it_trains(site):
    from urllib.parse import quote

    site.live.open_run(site.folder, "1")
    away = site.folder.root.rename(site.folder.root.with_name("away"))
    try:
        listed = json.loads(one(site, "GET", f"/bakery/runs?name={quote(NAME)}")[1])["runs"]
    finally:
        away.rename(site.folder.root)
    assert listed == [{"id": RUN, "state": "running"}]


def test_previews_come_whole_and_as_thumbnails(site):
    path = f"/bakery/runs/{RUN}/previews/{SET}/step000000-00.png"
    status, body, kind = one(site, "GET", path)
    assert (status, kind, body[:4]) == (200, "image/png", b"\x89PNG")
    status, body, kind = one(site, "GET", f"{path}?size=64")
    assert (status, kind, body[:2]) == (200, "image/jpeg", b"\xff\xd8")
    for size in ("0", "31", "513", "9" * 400, "abc", "-64", "64.0", "٦٤", ""):
        assert one(site, "GET", f"{path}?size={size}")[0] == 400


def test_a_link_that_leads_outside_is_not_followed(site):
    status, body, _ = one(site, "GET", f"/bakery/runs/{RUN}/previews/{SET}/step000009-00.png")
    assert status == 404
    assert SECRET.encode() not in body


def test_commands_reach_a_live_run_only(site, comfy):
    assert one(site, "POST", f"/bakery/runs/{RUN}/pause", json={})[0] == 404
    control = site.live.open_run(site.folder, "1")
    status, body, _ = one(site, "POST", f"/bakery/runs/{RUN}/pause", json={})
    heard = {"state": "running", "waiting": ["pause"], "doing": ""}
    names = {"node": "1", "run": RUN, "name": NAME}
    kind, told = comfy.sent[-1]
    answer, view = json.loads(body), json.loads(one(site, "GET", f"/bakery/runs/{RUN}")[1])
    assert told["at"] < answer["at"] < view["at"], "what was read later can be told"
    assert (status, kind, control.is_paused) == (200, "bakery.state", True)
    assert {key: told.get(key) for key in (*names, *heard)} == {**names, **heard}, "every page is told"
    for given in (answer, view):
        assert {key: given[key] for key in heard} == heard
    one(site, "POST", f"/bakery/runs/{RUN}/resume", json={})
    assert not control.is_paused
    for command in ("save", "sample"):
        assert one(site, "POST", f"/bakery/runs/{RUN}/{command}", json={})[0] == 200
    assert one(site, "POST", f"/bakery/runs/{RUN}/rate", json={"factor": 0.5})[0] == 200
    assert one(site, "POST", f"/bakery/runs/{RUN}/try", json={"prompt": "<b>", "seed": 2**64 - 1})[0] == 200
    assert control.take() == (False, True, True, 0.5)
    (wanted,) = control.take_prompts()
    assert (wanted.prompt, wanted.seed, wanted.strength) == ("<b>", 2**64 - 1, 1.0)
    site.live.CloseRun(site.folder, site.events).on_end(SimpleNamespace(total_steps=1), SimpleNamespace(step=1), None)
    assert one(site, "POST", f"/bakery/runs/{RUN}/pause", json={})[0] == 404


def test_only_so_many_prompts_may_wait(site):
    control = site.live.open_run(site.folder, "1")
    answers = [one(site, "POST", f"/bakery/runs/{RUN}/try", json={"prompt": str(number)}) for number in range(10)]
    assert [status for status, _, _ in answers] == [200] * 8 + [400] * 2
    assert "wait for one of them" in json.loads(answers[-1][1])["error"]
    assert len(control.take_prompts()) == 8
    assert one(site, "POST", f"/bakery/runs/{RUN}/try", json={"prompt": "again"})[0] == 200


def test_picks_are_kept(site):
    assert json.loads(one(site, "POST", f"/bakery/runs/{RUN}/pick", json={"step": 10})[1]) == {"pick": 10}
    assert json.loads(one(site, "GET", f"/bakery/runs/{RUN}")[1])["pick"] == 10
    status, body, _ = one(site, "POST", f"/bakery/runs/{RUN}/pick", json={"step": 11})
    assert (status, "saved LoRA" in json.loads(body)["error"]) == (400, True)
    one(site, "POST", f"/bakery/runs/{RUN}/pick", json={"step": None})
    assert json.loads(one(site, "GET", f"/bakery/runs/{RUN}")[1])["pick"] is None


BAD_BODIES = (
    b"{", b"[]", b"1", b"null", b'"x"', b"\xff\xfe", b"[" * 100_000, b'{"step": 1e400}', b'{"step": NaN}',
    b'{"step": true, "factor": true, "prompt": 1}', b'{"step": "10", "factor": "2", "prompt": ["x"]}',
    b'{"step": -1, "factor": 0, "prompt": "", "seed": -1}', b'{"step": 10.5, "factor": 1e9, "prompt": "", "seed": 1.5}',
    b'{"step": 99999999999999999999, "factor": -1, "prompt": "", "strength": 11}',
    b'{"factor": Infinity, "prompt": "", "strength": NaN}', b'{"factor": null, "prompt": "\\ud800"}',
    json.dumps({"factor": [], "prompt": "x" * 4001}).encode(), b" " * (1 << 21),
)  # fmt: skip


@pytest.mark.parametrize("command", ["pick", "rate", "try"])
def test_bad_bodies_are_refused_with_a_reason(site, command):
    control = site.live.open_run(site.folder, "1")
    json_type = {"Content-Type": "application/json"}
    requests = [("POST", f"/bakery/runs/{RUN}/{command}", {"data": body, "headers": json_type}) for body in BAD_BODIES]
    requests.append(
        ("POST", f"/bakery/runs/{RUN}/{command}", {"data": b"{}", "headers": {"Content-Type": "text/plain"}})
    )
    for (status, body, kind), request in zip(talk(site, *requests), requests, strict=True):
        assert status == 400, request[2]["data"][:60]
        assert kind == "application/json"
        assert json.loads(body)["error"]
    assert control.take() == (False, False, False, 1.0)
    assert control.take_prompts() == []


def test_no_path_leads_outside_or_breaks_a_route(site, comfy):
    from urllib.parse import quote

    noise = random.Random(0)
    words = [*ATTACKS, *("".join(noise.choices(string.printable, k=noise.randint(1, 40))) for _ in range(60))]
    before = {path for path in comfy.base.rglob("*") if path.name != "pick.json"}
    patterns = (
        "/bakery/runs?name={}", "/bakery/runs/{}", f"/bakery/runs/{RUN}?name={{}}",
        f"/bakery/runs/{RUN}/previews/{{}}/step000000-00.png", f"/bakery/runs/{RUN}/previews/{SET}/{{}}",
    )  # fmt: skip
    requests = [("GET", pattern.format(quote(word, safe="")), {}) for pattern in patterns for word in words]
    requests += [("POST", f"/bakery/runs/{RUN}/{quote(word, safe='')}", {"json": {"step": word}}) for word in words]
    for (status, body, kind), request in zip(talk(site, *requests), requests, strict=True):
        assert status in (200, 400, 404, 405), request[:2]
        assert SECRET.encode() not in body
        assert kind != "text/html"
        assert str(comfy.base).encode() not in body
    assert {path for path in comfy.base.rglob("*") if path.name != "pick.json"} == before


def test_routes_are_registered_once(comfy):
    from pack.nodes.comfy_bridge.page import routes_register as routes

    routes.register()
    routes.register()
    known = [(route.method, route.path) for route in comfy.server.routes if "/bakery/" in getattr(route, "path", "")]
    assert len(known) == len(set(known)) >= len(routes.ROUTES)


@pytest.fixture
def dataset(site, comfy):
    """The dataset routes, a folder with an image below input, and a generated image in output."""
    from pack.nodes.comfy_bridge.page import routes_dataset

    folder = comfy.base / "input" / "set"
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (40, 30), (9, 200, 9)).save(folder / "a.png")
    (folder / "a.txt").write_text("fox, <b>red</b>")
    Image.new("RGB", (40, 30)).save(comfy.base / "output" / "made.png")
    return SimpleNamespace(routes=routes_dataset, folder=folder)


def post(site, action, **body):
    status, answer, kind = one(site, "POST", f"/bakery/dataset/{action}", json=body)
    assert kind == "application/json"
    return status, json.loads(answer)


def test_a_dataset_is_listed_edited_and_added_to(dataset):
    status, body, kind = one(dataset, "GET", "/bakery/dataset?folder=set")
    listing = json.loads(body)
    assert (status, kind, listing["images"][0]["caption"]) == (200, "application/json", "fox, <b>red</b>")
    assert one(dataset, "GET", "/bakery/dataset/picture?folder=set&name=a.png&size=32")[2] == "image/jpeg"
    assert post(dataset, "captions", folder="set", captions={"a.png": "new"}) == (
        200, {"before": {"a.png": "fox, <b>red</b>"}},
    )  # fmt: skip
    assert (dataset.folder / "a.txt").read_text() == "new"
    assert post(dataset, "tag", folder="set", tag="new", new="old")[1] == {"before": {"a.png": "new"}}
    assert post(dataset, "exclude", folder="set", name="a.png", is_excluded=True)[1] == {"name": ".excluded/a.png"}
    assert post(dataset, "exclude", folder="set", name=".excluded/a.png", is_excluded=False)[1] == {"name": "a.png"}
    marked = post(dataset, "mark", folder="set", marks={"a.png": "validation"})
    assert marked == (200, {"before": {"a.png": None}})
    assert json.loads(one(dataset, "GET", "/bakery/dataset?folder=set")[1])["images"][0]["mark"] == "validation"
    assert post(dataset, "mark", folder="set", marks={"a.png": None})[1] == {"before": {"a.png": "validation"}}
    assert post(dataset, "remove", folder="set", names=["a.png"], is_removed=True)[1] == {"names": [".removed/a.png"]}
    assert post(dataset, "remove", folder="set", names=[".removed/a.png"], is_removed=False)[1] == {"names": ["a.png"]}
    made = {"filename": "made.png", "subfolder": "", "type": "output"}
    assert post(dataset, "keep", folder="set/kept", images=[made], caption="a fox")[1] == {"names": ["made.png"]}
    assert (dataset.folder / "kept" / "made.txt").read_text() == "a fox"
    assert json.loads(one(dataset, "GET", "/bakery/dataset?folder=nobody")[1])["exists"] is False


def test_no_request_leads_out_of_the_input_folder(dataset, comfy):
    from urllib.parse import quote

    before = {path: path.stat().st_mtime_ns for path in comfy.base.rglob("*") if path.is_file()}
    requests = []
    for word in [*ATTACKS, 5, None, [], {}, True]:
        text = quote(str(word), safe="")
        requests += [
            ("GET", f"/bakery/dataset?folder={text}", {}),
            ("GET", f"/bakery/dataset/picture?folder=set&name={text}", {}),
            ("POST", "/bakery/dataset/captions", {"json": {"folder": word, "captions": {"a.png": "hacked"}}}),
            ("POST", "/bakery/dataset/captions", {"json": {"folder": "set", "captions": {str(word): "hacked"}}}),
            ("POST", "/bakery/dataset/captions", {"json": {"folder": "set", "captions": word}}),
            ("POST", "/bakery/dataset/tag", {"json": {"folder": word, "tag": "fox", "new": "hacked"}}),
            ("POST", "/bakery/dataset/exclude", {"json": {"folder": "set", "name": word, "is_excluded": True}}),
            ("POST", "/bakery/dataset/exclude", {"json": {"folder": "set", "name": "a.png", "is_excluded": str(word)}}),
            ("POST", "/bakery/dataset/mark", {"json": {"folder": word, "marks": {"a.png": "validation"}}}),
            ("POST", "/bakery/dataset/mark", {"json": {"folder": "set", "marks": {str(word): "validation"}}}),
            ("POST", "/bakery/dataset/mark", {"json": {"folder": "set", "marks": {"a.png": word or "x"}}}),
            ("POST", "/bakery/dataset/mark", {"json": {"folder": "set", "marks": word}}),
            ("POST", "/bakery/dataset/remove", {"json": {"folder": "set", "names": [word], "is_removed": True}}),
            ("POST", "/bakery/dataset/remove", {"json": {"folder": "set", "names": word, "is_removed": True}}),
            ("POST", "/bakery/dataset/keep", {"json": {"folder": "set", "images": word, "caption": "x"}}),
            ("POST", "/bakery/dataset/keep", {"json": {"folder": "set", "images": [{"filename": word}]}}),
            ("POST", "/bakery/dataset/keep", {"json": {"folder": "set", "images": [{"filename": "a", "type": word}]}}),
            ("POST", "/bakery/dataset/keep", {"json": {"folder": "..", "images": [{"filename": "made.png"}]}}),
        ]
    for (status, body, kind), request in zip(talk(dataset, *requests), requests, strict=True):
        is_listing = request[1].startswith("/bakery/dataset?")
        assert status in ((200, 400, 500) if is_listing else (400, 404, 500)), (request, body)
        assert kind == "application/json"
        assert str(comfy.base).encode() not in body
        assert SECRET.encode() not in body
    assert {path: path.stat().st_mtime_ns for path in comfy.base.rglob("*") if path.is_file()} == before


@pytest.fixture
def compared(site, comfy):
    """The routes of comparisons, one that was drawn, and a link out of its folder."""
    from pack.nodes.comfy_bridge.host.run_folders import comparisons_folder
    from pack.nodes.comfy_bridge.page import routes_compare
    from pack.training.compare.layout import Cell
    from pack.training.compare.store import Comparison, save_comparison

    folder = comparisons_folder() / ("0a" * 12)
    comparison = Comparison(
        loras=("<b>one</b>",), steps=(None,), prompts=("fox",), strengths=(1.0,), text_strengths=(None,), run=None,
        cells=(Cell(0, 0, 0, 0), Cell(0, 0, 0, 0)), scores=(), plain_scores=(),
    )  # fmt: skip
    save_comparison(folder, comparison, [Image.new("RGB", (80, 60))] * 2)
    if not (folder / "0002.png").is_symlink():
        (folder / "0002.png").symlink_to(comfy.base / "secret.png")
    return SimpleNamespace(routes=routes_compare, folder=folder, path=f"/bakery/compare/{folder.name}")


def test_a_comparison_is_shown_voted_on_and_chosen_from(compared):
    status, body, kind = one(compared, "GET", compared.path)
    assert (status, kind, json.loads(body)["loras"]) == (200, "application/json", ["<b>one</b>"])
    assert one(compared, "GET", f"{compared.path}/0000.png")[2] == "image/png"
    assert one(compared, "GET", f"{compared.path}/0000.png?size=32")[2] == "image/jpeg"
    votes = one(compared, "POST", f"{compared.path}/votes", json={"votes": [[0, 1]]})
    assert json.loads(votes[1])["votes"] == [[0, 1]]
    assert json.loads(one(compared, "POST", f"{compared.path}/choice", json={"cell": 0})[1])["choice"] == 0
    assert json.loads(one(compared, "POST", f"{compared.path}/choice", json={"cell": None})[1])["choice"] is None


def test_no_request_changes_or_reads_anything_beside_a_comparison(compared, comfy):
    from urllib.parse import quote

    before = {path: path.stat().st_mtime_ns for path in comfy.base.rglob("*") if path.is_file()}
    requests = [("GET", f"{compared.path}/0002.png", {}), ("POST", f"{compared.path}/choice", {"json": {}})]
    for word in [*ATTACKS, 5, None, [], {}, True, 1.5, [[0, 1]], [0], [0, 0], [0, 2], [True, 0]]:
        text = quote(str(word), safe="")
        requests += [
            ("GET", f"/bakery/compare/{text}", {}),
            ("GET", f"{compared.path}/{text}", {}),
            ("GET", f"/bakery/compare/{text}/0000.png", {}),
            ("POST", f"/bakery/compare/{text}/votes", {"json": {"votes": []}}),
            ("POST", f"/bakery/compare/{text}/choice", {"json": {"cell": 0}}),
            ("POST", f"{compared.path}/votes", {"json": {"votes": [word]}}),
            ("POST", f"{compared.path}/choice", {"json": {"cell": word if word is not None else "x"}}),
        ]
    for (status, body, kind), request in zip(talk(compared, *requests), requests, strict=True):
        is_whole = request[1] == f"{compared.path}/"
        assert status in (400, 404) or is_whole, request
        assert kind in ("application/json", "text/plain")
        assert str(comfy.base).encode() not in body
        assert SECRET.encode() not in body
    assert {path: path.stat().st_mtime_ns for path in comfy.base.rglob("*") if path.is_file()} == before
