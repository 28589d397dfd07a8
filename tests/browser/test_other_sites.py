"""A page of another site changes nothing, whatever a browser lets it send, with and without ComfyUI's own check."""

import contextlib
import http.server
import threading

import pytest
from pack.tests.browser.page import until
from pack.tests.support.fixtures import comfyui_or_give_up
from pack.tests.support.server import ComfyServer
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow]
PAGE = b"<!doctype html><title>another site</title><form method=post></form>"
BODY = '{"folder": "theirs", "captions": {"a.png": "hacked"}}'
JSON = "headers: {'Content-Type': 'application/json'}, body"
TRIES = {
    "text": "fetch(url, {method: 'POST', mode: 'no-cors', body})",
    "cookies": "fetch(url, {method: 'POST', mode: 'no-cors', credentials: 'include', body})",
    "JSON": f"fetch(url, {{method: 'POST', {JSON}}})",
    "JSON without asking": f"fetch(url, {{method: 'POST', mode: 'no-cors', {JSON}}})",
    "nothing": "fetch(url, {method: 'POST', mode: 'no-cors'})",
    "beacon": "navigator.sendBeacon(url, new Blob([body], {type: 'text/plain'}))",
    "beacon as JSON": "navigator.sendBeacon(url, new Blob([body], {type: 'application/json'}))",
    "form": """new Promise((done) => {
        const frame = Object.assign(document.createElement("iframe"), {name: "into", onload: done});
        const form = Object.assign(document.forms[0], {action: url, enctype: "text/plain", target: "into"});
        const parts = {name: body.slice(0, -1) + ', "metadata": "', value: '"}'};
        const field = Object.assign(document.createElement("input"), parts);
        document.body.append(frame); form.append(field); form.submit();
    })""",
}


class Site(http.server.BaseHTTPRequestHandler):
    """Any address is the one page. Posts are believed, from wherever they come: what a server without a check gets."""

    def do_GET(self):
        self.answer()

    def do_OPTIONS(self):
        self.answer()

    def do_POST(self):
        self.server.got.append(self.rfile.read(int(self.headers.get("Content-Length", 0))).decode())
        self.answer()

    def answer(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin", "*"))
        self.send_header("Access-Control-Allow-Credentials", "true")
        self.send_header("Access-Control-Allow-Headers", "Content-Type")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        """It stays quiet."""


@contextlib.contextmanager
def site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.got, server.url = [], f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


@pytest.fixture(scope="module")
def page(chromium):
    """A page of another site; `ended` counts what it has sent and has an answer, or was not let send."""
    with site() as other:
        page = chromium.new_context().new_page()
        page.goto(other.url)
        page.ended = []
        for end in ("requestfinished", "requestfailed"):
            page.on(end, lambda request: page.ended.append(request))
        yield page
        page.context.close()


@pytest.fixture(scope="module", params=["its own check", "none"])
def guarded(request, tmp_path_factory):
    """ComfyUI with its check of origins, and with none: one other site is allowed, which is not ours."""
    if request.param == "its own check":
        server = request.getfixturevalue("comfy_server")
    else:
        options = ["--enable-cors-header", "https://friend.example"]
        server = ComfyServer(comfyui_or_give_up(), tmp_path_factory.mktemp("guarded"), extra_args=options)
        server.start()
    (server.input / "theirs").mkdir()
    Image.new("RGB", (9, 9)).save(server.input / "theirs" / "a.png")
    (server.input / "theirs" / "a.txt").write_text("mine")
    yield server
    if request.param == "none":
        server.stop()


def attempt(page, name, url):
    """Let the page try it, and wait until the server or the browser has answered."""
    page.ended.clear()
    page.evaluate(
        f"async ([url, body]) => {{ try {{ await ({TRIES[name]}); }} catch (error) {{ return String(error); }} }}",
        [url, BODY],
    )
    until(page, lambda: any(request.url == url for request in page.ended), f"an answer to {name}")


def test_each_try_reaches_a_server_that_lets_it(page):
    with site() as naive:
        for name in TRIES:
            attempt(page, name, naive.url + "/bakery/dataset/captions")
            until(page, lambda: naive.got, f"{name} arrives")  # noqa: B023
            assert ("hacked" in naive.got.pop()) == (name != "nothing"), name


def test_another_sites_page_changes_nothing(page, guarded):
    for name in TRIES:
        attempt(page, name, f"{guarded.url}/bakery/dataset/captions")
        assert (guarded.input / "theirs" / "a.txt").read_text() == "mine", name
    same = guarded.client().post("/bakery/dataset/captions", {"folder": "theirs", "captions": {"a.png": "ours"}})
    assert same == {"before": {"a.png": "mine"}}, "the host's own page can"
