"""ComfyUI's page in a headless Chromium, driven through Playwright."""

import os
import re
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .patience import time_limit

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "msedge")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
]
IS_READY = """() => {
    const workflow = window.app?.extensionManager?.workflow;
    const hasOpened = workflow?.activeWorkflow?.isLoaded && !workflow.isBusy && window.app.canvas && window.app.graph;
    return Boolean(hasOpened && window.LiteGraph?.registered_node_types.BakeryTrain);
}"""
"""The page knows the nodes and has opened the workflow it starts with, which would replace one loaded earlier."""
ASKED = ("/bakery/", "/upload/")
VIEWPORT = {"width": 1600, "height": 1000}


def find_chromium() -> str | None:
    """Return the path of a Chromium: CHROMIUM if set, one on the PATH, Playwright's own, or None."""
    chosen = os.environ.get("CHROMIUM")
    found = chosen or next((path for path in map(shutil.which, NAMES) if path), None)
    return found or _playwright_chromium()


def _playwright_chromium() -> str | None:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    return path if Path(path).exists() else None


class Chromium:
    """A headless Chromium, started when it is first asked for a page, and again when it has died."""

    def __init__(self, playwright: Any, executable: str) -> None:
        self._playwright, self._executable = playwright, executable
        self._browser: Any = None

    def new_context(self, **options: Any) -> Any:
        """Open a fresh profile (a Playwright `BrowserContext`)."""
        if self._browser is None or not self._browser.is_connected():
            self._browser = self._playwright.chromium.launch(executable_path=self._executable, args=ARGUMENTS)
        return self._browser.new_context(**options)

    def close(self) -> None:
        """End it."""
        if self._browser is not None:
            self._browser.close()


class WithPage:
    """A browser that shows ComfyUI's page from a folder of another version instead of the server's own.

    Args:
        browser: opens the profiles.
        static: folder with the page's index.html; None for the server's own page.
    """

    def __init__(self, browser: Any, static: Path | None) -> None:
        self._browser, self.static = browser, static

    def new_context(self, **options: Any) -> Any:
        """Open a fresh profile; what the folder does not hold comes from the server."""
        context = self._browser.new_context(**options)
        if self.static is not None:
            _allow_local_network(context)
            names = "|".join(re.escape(path.name) for path in self.static.iterdir())
            context.route(re.compile(rf"^http://[^/]+/(?:(?:{names})\b.*|\?.*)?$"), self._answer)
        return context

    def _answer(self, route: Any) -> None:
        path = Path(self.static or "") / (urlsplit(route.request.url).path.strip("/") or "index.html")
        if route.request.method == "GET" and path.is_file():
            route.fulfill(path=path)
        else:
            route.fallback()


def _allow_local_network(context: Any) -> None:
    """Else Chromium refuses the page's socket: a page that is given to it here has no address on this machine."""
    from playwright.sync_api import Error

    with suppress(Error):  # an older Chromium knows no such permission, and refuses nothing
        context.grant_permissions(["local-network-access"])


@contextmanager
def launch_chromium(executable: str) -> Iterator[Chromium]:
    """Give a headless Chromium, and end it afterwards."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = Chromium(playwright, executable)
        yield chromium
        chromium.close()


def open_comfyui(browser: Any, url: str, timeout_s: float = 120.0) -> Any:
    """Open ComfyUI in a fresh profile and wait until a graph can be loaded; returns the Playwright `Page`.

    `timeout_s` counts seconds of an idle machine. Requests that would leave this machine are refused. `page.problems`
    collects uncaught errors of the page, `page.asked` holds what the pack asks of the server and has no answer yet.
    """
    context = browser.new_context(viewport=VIEWPORT)
    page = context.new_page()
    page.problems, page.asked = [], set()
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("request", lambda request: page.asked.add(request) if _is_ours(request.url) else None)
    for end in ("requestfinished", "requestfailed"):
        page.on(end, lambda request: page.asked.discard(request))
    page.goto(url, timeout=time_limit(timeout_s) * 1000)
    page.wait_for_function(IS_READY, timeout=time_limit(timeout_s) * 1000)
    return page


LOAD = """async workflow => {
    const root = () => window.app.rootGraph ?? window.app.graph;
    for (let attempt = 0; attempt < 3; attempt++) {
        await window.app.loadGraphData(workflow);
        const { id } = root();
        for (let frame = 0; frame < 3; frame++) await new Promise((drawn) => requestAnimationFrame(drawn));
        if (root().id === id) return;
    }
    throw new Error("the page goes back to another workflow");
}"""


def load_workflow(page: Any, workflow: dict[str, Any]) -> None:
    """Show a workflow, as opening its file would.

    The page follows its own address, which names the graph, a moment late, and on a busy machine may go back to what
    was open before; so the workflow gets an id of its own, and is opened again where it has not stayed.
    """
    page.evaluate(LOAD, {**workflow, "id": str(uuid.uuid4())})


def prompt_of(page: Any) -> dict[str, Any]:
    """Return the workflow on the canvas in API form, as the page itself would queue it."""
    return dict(page.evaluate("async () => (await window.app.graphToPrompt()).output"))


def _is_ours(url: str) -> bool:
    return any(part in url for part in ASKED)


MAKE_NODES = """(nodes) => {
  const { graph, canvas } = window.app;
  graph.clear();
  for (const [type, position, values] of nodes) {
    const node = LiteGraph.createNode(type);
    node.pos = position;
    graph.add(node);
    for (const [key, value] of Object.entries(values)) {
      const widget = node.widgets.find((each) => each.name === key);
      widget.value = value;
      widget.callback?.(value);
    }
  }
  canvas.ds.scale = 1;
  canvas.ds.offset = [0, 0];
  canvas.setDirty(true, true);
}"""
CONNECT = """(links) => {
  const { graph, canvas } = window.app;
  for (const [from, slot, to, input] of links) {
    const target = graph._nodes[to];
    graph._nodes[from].connect(slot, target, target.findInputSlot(input));
  }
  canvas.setDirty(true, true);
}"""


def show_nodes(page: Any, nodes: list[list[Any]], links: list[list[Any]] | None = None, top: int = 0) -> None:
    """Put (type, position, widget values) on an empty canvas, then links (from, slot, to, input) by place in the list.

    `top` scrolls the canvas by so many pixels.
    """
    page.evaluate(MAKE_NODES, nodes)
    page.evaluate(CONNECT, links or [])
    page.evaluate("top => { window.app.canvas.ds.offset = [0, -top]; window.app.canvas.setDirty(true, true); }", top)
