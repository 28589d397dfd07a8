"""The server without a tutorial over its page, and a page that must not complain of anything of ours.

Tests share a page, since loading it takes longer than most of them. One that fails takes its page along, so that what
it left open, half typed or switched does not fail the next ones.
"""

import contextlib
import json
import urllib.request

import pytest
from pack.tests.browser.page import settle, use_settings
from pack.tests.support.browser import WithPage, open_comfyui
from pack.tests.support.fixtures import SHARED, give_up
from pack.tests.support.idle import empty
from pack.tests.support.paths import CACHE
from pack.tests.support.patience import time_limit
from playwright.sync_api import Error

ACTION_S = 30.0
"""What a click may take on an idle machine."""
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Minimap.Visible": False,
    "Comfy.VueNodes.Enabled": False,
    "Comfy.ColorPalette": "dark",
    "Comfy.Locale": "en",
}
"""What each test starts with."""
NEWER_PAGE = CACHE / "page" / "comfyui_frontend_package" / "static"
"""Where dev.py puts a later version of ComfyUI's page than the one that the host asks for."""
PAGES = {"own": None, "newer": NEWER_PAGE}
HAS_FAILED = pytest.StashKey[bool]()
LEFT = """async () => {
    const root = window.app.rootGraph ?? window.app.graph;
    if (window.app.canvas.graph !== root) window.app.canvas.setGraph(root);
    root.clear();
    await new Promise((later) => setTimeout(later));
    return [...document.querySelectorAll(".bakery-panel, .bakery-overlay")].map((each) => each.className);
}"""


CLOSE_OTHERS = """async () => {
    const { workflow } = window.app.extensionManager;
    const others = workflow.openWorkflows.filter((each) => each.path !== workflow.activeWorkflow?.path);
    for (const each of others) await workflow.closeWorkflow(each);
    return workflow.openWorkflows.length;
}"""
"""The page may go back to one of them: it finds workflows by an id that those of the tests share."""


def pytest_generate_tests(metafunc):
    """Run tests marked `both_pages` on both, all of them with --full."""
    is_wanted = metafunc.config.getoption("--full") or metafunc.definition.get_closest_marker("both_pages")
    if is_wanted and "browser" in metafunc.fixturenames:
        metafunc.parametrize("browser", list(PAGES.values()), ids=list(PAGES), indirect=True, scope="session")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item):
    """Remember what has failed."""
    report = yield
    item.stash[HAS_FAILED] = item.stash.get(HAS_FAILED, False) or report.failed
    return report


@pytest.fixture(scope="session")
def browser(chromium, request):
    """Chromium with the page that the server has, or with the newer one."""
    static = getattr(request, "param", None)
    if static is not None and not static.is_dir():
        give_up("HOST", "needs a newer page of ComfyUI: run `python dev.py test` once")
    for server in SHARED:
        empty(server)  # the same test ran with the other page
    return WithPage(chromium, static)


@pytest.fixture(scope="session")
def server(comfy_server):
    put_settings(comfy_server)
    return comfy_server


def put_settings(server):
    """Have the server give these settings to pages that are opened from now on."""
    body = json.dumps(SETTINGS).encode()
    request = urllib.request.Request(f"{server.url}/settings", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request).close()


class Tabs:
    """A page of each version, opened when it is first asked for, and again after it was closed."""

    def __init__(self):
        self.pages = {}

    def give(self, server, browser):
        """The page; a fresh one where the last one is in disorder, or of a server that was started again."""
        page = self.pages.get(browser.static)
        if page is not None and (page.num_starts != server.num_starts or left_on(page)):
            self.close(browser)
        if browser.static not in self.pages:
            put_settings(server)
            self.pages[browser.static] = opened(server, browser)
        return self.pages[browser.static]

    def close(self, browser):
        """Close the page, whatever state it is in."""
        page = self.pages.pop(browser.static, None)
        if page is not None:
            with contextlib.suppress(Error):
                page.context.close()


@pytest.fixture(scope="session")
def tabs(chromium):
    """Closed before Chromium ends."""
    found = Tabs()
    yield found
    for page in found.pages.values():
        page.context.close()


@pytest.fixture
def tab(tabs, server, browser, request):
    """The page, as if no other test had seen it."""
    page = tabs.give(server, browser)
    page.set_default_timeout(time_limit(ACTION_S) * 1000)
    page.asked.clear()
    yield page
    if request.node.stash.get(HAS_FAILED, False) or not put_back(page):
        tabs.close(browser)


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
    left = left_on(tab)
    if tab.asked:
        settle(tab)  # an answer that refuses would be a complaint in the next test
    assert tab.problems == []
    assert tab.complaints == []
    assert left == [], "nothing may stay on the page when its node is gone"


def put_back(page):
    """Whether the page has the settings and the answers of the server again that tests start with."""
    try:
        page.unroute_all(behavior="ignoreErrors")
        use_settings(page, SETTINGS)
        page.evaluate(CLOSE_OTHERS)
    except Error:
        return False
    return True


def left_on(tab):
    """What of ours is still on the page once its canvas is empty, or why that cannot be said."""
    try:
        return tab.evaluate(LEFT)
    except Error as error:
        return [str(error)]
