"""A page of another site changes nothing, whatever a browser lets it send, with and without ComfyUI's own check."""

import http.server
import threading

import pytest
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
        document.body.append(frame); form.append(field); form.submit(); setTimeout(done, 3000);
    })""",
}


class Site(http.server.BaseHTTPRequestHandler):
    """Any address is the one page."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_):
        """It stays quiet."""


@pytest.fixture(scope="module")
def other_site():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module", params=["its own check", "none"])
def guarded(request, tmp_path_factory):
    """ComfyUI with its check of origins, and with none: one other site is allowed, which is not ours."""
    options = [] if request.param == "its own check" else ["--enable-cors-header", "https://friend.example"]
    server = ComfyServer(comfyui_or_give_up(), tmp_path_factory.mktemp("guarded"), extra_args=options)
    server.start()
    (server.input / "theirs").mkdir()
    Image.new("RGB", (9, 9)).save(server.input / "theirs" / "a.png")
    (server.input / "theirs" / "a.txt").write_text("mine")
    yield server
    server.stop()


def test_another_sites_page_changes_nothing(browser, guarded, other_site):
    page = browser.new_context().new_page()
    page.goto(other_site)
    for name, attempt in TRIES.items():
        url = f"{guarded.url}/bakery/dataset/captions"
        page.evaluate(
            f"async ([url, body]) => {{ try {{ await ({attempt}); }} catch (error) {{ return String(error); }} }}",
            [url, BODY],
        )
        assert (guarded.input / "theirs" / "a.txt").read_text() == "mine", name
    page.context.close()
    same = guarded.client().post("/bakery/dataset/captions", {"folder": "theirs", "captions": {"a.png": "ours"}})
    assert same == {"before": {"a.png": "mine"}}, "the host's own page can"
    (guarded.input / "theirs" / "a.txt").write_text("mine")
