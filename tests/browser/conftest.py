"""The server without a tutorial over its page, and a page that must not complain of anything of ours."""

import contextlib
import json
import urllib.request

import pytest
from pack.tests.support.browser import open_comfyui
from pack.tests.support.patience import time_limit
from playwright.sync_api import Error

ACTION_S = 30.0
"""What a click may take on an idle machine."""
SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False}


@pytest.fixture(scope="session")
def server(comfy_server):
    body = json.dumps(SETTINGS).encode()
    request = urllib.request.Request(f"{comfy_server.url}/settings", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()
    return comfy_server


@pytest.fixture(scope="session")
def tabs(browser):
    """The one page, in a list: loading it takes longer than most tests. It is closed before the browser ends."""
    found = []
    yield found
    for page in found:
        page.context.close()


@pytest.fixture
def tab(tabs, server, browser):
    """The page, in a fresh profile where the last one is closed, in disorder or of a server that was started again."""
    if tabs and (tabs[0].num_starts != server.num_starts or left_on(tabs[0])):
        with contextlib.suppress(Error):
            tabs[0].context.close()
        tabs.clear()
    if not tabs:
        tabs.append(opened(server, browser))
    tabs[0].set_default_timeout(time_limit(ACTION_S) * 1000)
    return tabs[0]


def opened(server, browser):
    """A page that keeps what it complains of."""
    page = open_comfyui(browser, server.url)
    page.complaints, page.num_starts = [], server.num_starts

    def listen(message):
        where = f"{message.location.get('url', '')} {message.text}"
        if message.type in ("error", "warning") and "bakery" in where.lower():
            page.complaints.append(where)

    page.on("console", listen)
    return page


@pytest.fixture
def page(tab):
    """The page with an empty canvas; at the end it must not have complained of anything of ours, nor show any of it."""
    tab.complaints.clear()
    tab.problems.clear()
    yield tab
    assert tab.problems == []
    assert tab.complaints == []
    assert left_on(tab) == [], "nothing may stay on the page when its node is gone"


def left_on(tab):
    """What of ours is still on the page once its canvas is empty, or why that cannot be said."""
    try:
        tab.evaluate("() => window.app.graph.clear()")
        return tab.locator(".bakery-panel, .bakery-overlay").evaluate_all("all => all.map((each) => each.className)")
    except Error as error:
        return [str(error)]
