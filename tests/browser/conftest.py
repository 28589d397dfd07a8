"""The server without a tutorial over its page, and a page that must not complain of anything of ours."""

import json
import urllib.request

import pytest

SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False}


@pytest.fixture(scope="session")
def server(comfy_server):
    body = json.dumps(SETTINGS).encode()
    request = urllib.request.Request(f"{comfy_server.url}/settings", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
    return comfy_server


@pytest.fixture
def page(server, comfy_page):
    complaints = []

    def listen(message):
        where = f"{message.location.get('url', '')} {message.text}"
        if message.type in ("error", "warning") and "bakery" in where.lower():
            complaints.append(where)

    comfy_page.on("console", listen)
    yield comfy_page
    assert comfy_page.problems == []
    assert complaints == []
