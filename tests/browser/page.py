"""What the browser tests share: nodes on the canvas, waiting, screenshots."""

import os
from collections.abc import Callable
from typing import Any

from pack.tests.support.browser import open_comfyui
from pack.tests.support.paths import ROOT
from pack.tests.support.patience import Deadline
from PIL import Image
from playwright.sync_api import TimeoutError

IS_WRITING_SCREENSHOTS = os.environ.get("LORA_BAKERY_SCREENSHOTS") == "1"
"""Write the pictures of docs/images again."""
TIMEOUT_S = 240.0 if IS_WRITING_SCREENSHOTS else 120.0
LOOK_AGAIN_MS = 4000
"""A wait looks this often whether the machine has become slower, so that its limit grows meanwhile."""
SEEN = """() => ({
  panels: [...document.querySelectorAll(".bakery-panel")].map((panel) => panel.innerText.slice(0, 500)),
  dialogs: [...document.querySelectorAll("[role=dialog], .p-toast-message")].map((box) => box.innerText.slice(0, 500)),
  errors: window.app.lastNodeErrors,
  error: window.app.lastExecutionError?.exception_message,
  outputs: Object.fromEntries(Object.entries(window.app.nodeOutputs ?? {}).map(([id, output]) => [id, output?.text])),
  types: Object.fromEntries((window.app.graph?._nodes ?? []).map((node) => [node.id, node.type])),
})"""
"""What a page shows when a wait has failed."""


def wait(page: Any, condition: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a JavaScript expression is true, `timeout_s` seconds of an idle machine at most."""
    deadline = Deadline(timeout_s)
    while True:
        try:
            page.wait_for_function(f"() => {condition}", timeout=LOOK_AGAIN_MS)
            return
        except TimeoutError:
            if deadline.is_over:
                seen = page.evaluate(SEEN)
                raise AssertionError(
                    f"not within {timeout_s:.0f} s of an idle machine: {condition}; the page shows {seen}"
                ) from None


def until(page: Any, is_so: Callable[[], bool], what: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until something holds outside the page, such as on the disk, while the page goes on; `what` is wanted."""
    deadline = Deadline(timeout_s)
    while not is_so():
        assert not deadline.is_over, f"not within {timeout_s:.0f} s of an idle machine: {what}"
        page.wait_for_timeout(50)


def frames(page: Any, count: int = 3) -> None:
    """Wait until the page has drawn so many times."""
    page.evaluate(
        "async count => { while (count--) await new Promise((drawn) => requestAnimationFrame(drawn)); }", count
    )


def settle(page: Any, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until nothing of ours is asked of the server any more, and what was answered is drawn."""
    deadline, num_quiet = Deadline(timeout_s), 0
    while num_quiet < 3:
        frames(page)
        num_quiet = 0 if page.asked else num_quiet + 1
        assert not deadline.is_over, f"still asked: {[request.url for request in page.asked]}"


def use_rendering(page: Any, is_new: bool) -> None:
    """Draw nodes the new way (Nodes 2.0) or the classic one. Each test starts with the classic one."""
    use_settings(page, {"Comfy.VueNodes.Enabled": is_new})
    frames(page)


def use_settings(page: Any, settings: dict[str, Any]) -> None:
    """Change settings where they differ; the page and the server have them when this returns."""
    page.evaluate(
        """async (settings) => {
        const { setting } = window.app.extensionManager;
        const changed = Object.entries(settings).filter(([name, value]) => setting.get(name) !== value);
        for (const [name, value] of changed) await setting.set(name, value);
    }""",
        settings,
    )


def screenshot(page: Any, name: str, part: str | None = None) -> None:
    """Write a small PNG of the page, or of the part that a selector names, into docs/images if they are wanted."""
    if not IS_WRITING_SCREENSHOTS:
        return
    path = ROOT / "docs" / "images" / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    (page.locator(part) if part else page).screenshot(path=path)
    picture = Image.open(path).convert("RGB").quantize(128)
    picture.save(path, optimize=True)


def open_again(browser: Any, server: Any) -> Any:
    """ComfyUI's page in a profile of its own, as another tab or a later day would show it."""
    return open_comfyui(browser, server.url)
