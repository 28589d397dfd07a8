"""What the browser tests share: nodes on the canvas, waiting, screenshots."""

import os
from typing import Any

from pack.tests.support.paths import ROOT
from pack.tests.support.patience import time_limit
from PIL import Image

IS_WRITING_SCREENSHOTS = os.environ.get("LORA_BAKERY_SCREENSHOTS") == "1"
"""Write the pictures of docs/images again."""
TIMEOUT_S = 240.0 if IS_WRITING_SCREENSHOTS else 120.0
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


def wait(page: Any, condition: str, timeout_s: float = TIMEOUT_S) -> None:
    """Wait until a JavaScript expression is true, `timeout_s` seconds of an idle machine at most."""
    page.wait_for_function(f"() => {condition}", timeout=time_limit(timeout_s) * 1000)


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
    from pack.tests.support.browser import open_comfyui

    return open_comfyui(browser, server.url)
