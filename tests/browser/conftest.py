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


@pytest.fixture(scope="session")
def tab(server, browser):
    """One page for all tests: loading it takes longer than most of them."""
    from pack.tests.support.browser import open_comfyui

    page = open_comfyui(browser, server.url)
    page.complaints = []

    def listen(message):
        where = f"{message.location.get('url', '')} {message.text}"
        if message.type in ("error", "warning") and "bakery" in where.lower():
            page.complaints.append(where)

    page.on("console", listen)
    yield page
    page.context.close()


@pytest.fixture
def page(tab):
    """The page with an empty canvas; at the end it must not have complained of anything of ours."""
    tab.complaints.clear()
    tab.problems.clear()
    tab.evaluate("() => window.app.graph.clear()")
    assert tab.locator(".bakery-panel, .bakery-overlay").count() == 0, "the test before left something"
    yield tab
    assert tab.problems == []
    assert tab.complaints == []
