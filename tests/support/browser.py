"""ComfyUI's page in a headless Chromium, driven through Playwright."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
]
IS_READY = """() => {
    const workflow = window.app?.extensionManager?.workflow;
    return Boolean(workflow?.activeWorkflow?.isLoaded && !workflow.isBusy && window.app.canvas && window.app.graph);
}"""
"""The page has opened the workflow it starts with; one that is loaded earlier would be replaced by it."""
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


@contextmanager
def launch_chromium(executable: str) -> Iterator[Any]:
    """Run a headless Chromium, give the Playwright `Browser`."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        yield browser
        browser.close()


def open_comfyui(browser: Any, url: str, timeout_s: float = 120.0) -> Any:
    """Open ComfyUI in a fresh profile and wait until a graph can be loaded; returns the Playwright `Page`.

    `timeout_s` counts seconds of an idle machine. Requests that would leave this machine are refused. `page.problems`
    collects uncaught errors of the page.
    """
    context = browser.new_context(viewport=VIEWPORT)
    context.route("**/*", lambda route: route.continue_() if _is_local(route.request.url) else route.abort())
    page = context.new_page()
    page.problems = []
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    load(page, url, timeout_s)
    return page


def load(page: Any, url: str, timeout_s: float = 120.0) -> None:
    """Load ComfyUI's page, if need be once more, and wait until a graph can be loaded."""
    page.goto(url, timeout=time_limit(timeout_s) * 1000)
    page.wait_for_function(IS_READY, timeout=time_limit(timeout_s) * 1000)


def load_workflow(page: Any, workflow: dict[str, Any]) -> None:
    """Show a workflow, as opening its file would."""
    page.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)


def prompt_of(page: Any) -> dict[str, Any]:
    """Return the workflow on the canvas in API form, as the page itself would queue it."""
    return dict(page.evaluate("async () => (await window.app.graphToPrompt()).output"))


def _is_local(url: str) -> bool:
    return url.startswith(("http://127.0.0.1", "ws://127.0.0.1", "data:", "blob:"))
