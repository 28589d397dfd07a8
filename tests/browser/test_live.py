"""A LoRA is watched and steered on its node, in a real page against a real server."""

import json
import os
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parents[2]
PICTURES = os.environ.get("LORA_BAKERY_SCREENSHOTS") == "1"
"""Write the screenshots of docs/images anew."""
TIMEOUT_MS = 120_000
RUN, SET = "0123456789ab", "abcdefabcdef"
BUILD = """({name, steps, prompts}) => {
  const graph = window.app.graph;
  graph.clear();
  const make = (type, position, values = {}) => {
    const node = LiteGraph.createNode(type);
    node.pos = position;
    graph.add(node);
    for (const [key, value] of Object.entries(values)) {
      const widget = node.widgets.find((each) => each.name === key);
      widget.value = value;
      widget.callback?.(value);
    }
    return node;
  };
  const checkpoint = make("CheckpointLoaderSimple", [20, 60], { ckpt_name: "pocket.safetensors" });
  const data = make("BakeryLoadDataset", [20, 230], { folder: "live_fox" });
  const buckets = make("BakeryBuckets", [20, 640], { resolution: 64 });
  const preview = make("BakeryPreview", [880, 60], { prompts, width: 64, height: 64, every: 2, steps: 2, seed: 3 });
  const train = make("BakeryTrain", [420, 60], { name, steps });
  const connect = (from, slot, to, input) => from.connect(slot, to, to.findInputSlot(input));
  connect(checkpoint, 0, train, "model");
  connect(checkpoint, 1, train, "clip");
  connect(checkpoint, 2, train, "vae");
  connect(data, 0, buckets, "dataset");
  connect(buckets, 0, train, "dataset");
  connect(preview, 0, train, "preview");
  window.app.canvas.ds.scale = 1;
  window.app.canvas.ds.offset = [0, -400];
  window.app.canvas.setDirty(true, true);
}"""


@pytest.fixture(scope="module")
def server(comfy_server):
    """The server with a small dataset, and no tutorial over its page."""
    folder = comfy_server.input / "live_fox"
    folder.mkdir(parents=True, exist_ok=True)
    for number, colour in enumerate(((200, 60, 40), (60, 200, 40), (60, 40, 200))):
        Image.new("RGB", (64, 64), colour).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text("fox, simple background")
    settings = {"Comfy.TutorialCompleted": True, "Comfy.Minimap.Visible": False}
    body = json.dumps(settings).encode()
    urllib.request.urlopen(
        urllib.request.Request(f"{comfy_server.url}/settings", body, {"Content-Type": "application/json"})
    )
    return comfy_server


@pytest.fixture
def page(server, comfy_page):
    """ComfyUI's page; at the end there must have been no complaint of ours."""
    comfy_page.complaints = []

    def listen(message):
        where = f"{message.location.get('url', '')} {message.text}"
        if message.type in ("error", "warning") and ("lora-bakery" in where or "bakery" in message.text.lower()):
            comfy_page.complaints.append(where)

    comfy_page.on("console", listen)
    yield comfy_page
    assert comfy_page.problems == []
    assert comfy_page.complaints == []


def show_saved_run(server, name, steps=3, previews=(0, 1, 2), prompts=("fox",)):
    """Writes a finished run, as training leaves it."""
    root = server.output / "loras" / name
    private = root / ".run" / RUN
    place = private / "previews" / SET
    place.mkdir(parents=True, exist_ok=True)
    segments = [{"stage": 0, "key": "", "steps": steps}]
    record = {"format": 1, "base": "", "dataset": "", "segments": segments, "description": {}}
    (private / "run.json").write_text(json.dumps(record))
    (root / ".run" / "current").write_text(RUN)
    line = {"total_steps": steps, "epoch": 0, "grad_norm": 1.0, "learning_rates": {"unet": 1e-4}, "seconds": 0.1}
    lines = (json.dumps({"step": step, "loss": 1 / step, **line}) for step in range(1, steps + 1))
    (private / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    (place / "settings.json").write_text(json.dumps({"prompts": prompts, "width": 64, "height": 64}))
    for step in previews:
        for number in range(len(prompts)):
            Image.new("RGB", (64, 64), (step % 255, 90, 160)).save(place / f"step{step:06d}-{number:02d}.png")
        if step:
            (root / f"{name}-step{step:06d}.safetensors").write_bytes(b"")


def show_node(page, name, steps=3, prompts="fox"):
    page.evaluate(BUILD, {"name": name, "steps": steps, "prompts": prompts})


def status(page):
    return page.locator(".bakery-status").inner_text()


def press(page, text):
    page.locator(".bakery-panel button", has_text=text).click()


def wait(page, condition):
    page.wait_for_function(f"() => {condition}", timeout=TIMEOUT_MS)


def steps_shown(page):
    return page.locator(".bakery-step").all_inner_texts()


def screenshot(page, name, clip=None):
    if PICTURES:
        path = ROOT / "docs" / "images" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=path, clip=clip)
        Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=128).save(path, optimize=True)


@pytest.mark.slow
def test_watch_pause_try_pick_stop_and_reload(server, page, pocket_checkpoint, browser):
    show_node(page, "live", steps=400, prompts="fox\nfox, blue background")
    assert "appear here" in page.locator(".bakery-panel").inner_text()
    page.evaluate("() => window.app.queuePrompt(0)")
    wait(page, "document.querySelectorAll('.bakery-cell').length >= 4")
    wait(page, "/training/.test(document.querySelector('.bakery-status').textContent)")
    assert has_ink(page)

    press(page, "Pause")
    wait(page, "/paused/.test(document.querySelector('.bakery-status').textContent)")
    before = status(page)
    page.locator(".bakery-try input[type=text]").fill("a fox <img src=x onerror=window.hacked=1>")
    page.locator(".bakery-try button").click()
    wait(page, "document.querySelector('.bakery-try-picture').src.startsWith('data:image/jpeg')")
    assert status(page) == before
    press(page, "Save now")
    page.wait_for_timeout(500)
    screenshot(page, "train_live", {"x": 410, "y": 70, "width": 460, "height": 700})

    page.locator(".bakery-cell").first.click()
    overlay = page.locator(".bakery-overlay")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    overlay.locator("select").select_option("0")
    assert overlay.locator(".bakery-divider").get_attribute("aria-valuenow") == "50"
    screenshot(page, "compare_steps")
    overlay.locator("button", has_text="Pick this step").click()
    wait(page, "/★/.test(document.querySelector('.bakery-status').textContent)")
    page.keyboard.press("Escape")
    assert overlay.count() == 0

    press(page, "Go on")
    press(page, "Rate ×0.5")
    wait(page, "/training/.test(document.querySelector('.bakery-status').textContent)")
    press(page, "Stop & keep")
    wait(page, "document.querySelector('.bakery-controls .bakery-row').hidden")
    wait(page, "window.app.extensionManager && !document.querySelector('.bakery-status').textContent.includes('left')")
    assert (server.output / "loras" / "live" / "live.safetensors").is_file()
    assert not page.evaluate("() => window.hacked")

    workflow = page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    second = open_again(browser, server)
    second.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    wait(second, "document.querySelectorAll('.bakery-cell').length >= 4")
    assert "★" in status(second)
    assert has_ink(second)
    second.context.close()


def open_again(browser, server):
    from pack.tests.host.browser import open_comfyui

    return open_comfyui(browser, server.url)


def has_ink(page):
    """Whether the chart has more than its background."""
    page.wait_for_timeout(200)
    return page.evaluate("""() => {
        const canvas = document.querySelector(".bakery-chart-canvas");
        const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        return pixels.some((value) => value > 0);
    }""")


def test_ten_thousand_steps_and_a_thousand_previews_stay_few_in_the_page(server, page):
    show_saved_run(server, "long", steps=10_000, previews=range(0, 10_000, 20), prompts=("fox", "fox at night"))
    show_node(page, "long")
    wait(page, "document.querySelectorAll('.bakery-cell').length > 0")
    assert page.locator(".bakery-cell").count() < 60
    page.evaluate("() => (document.querySelector('.bakery-strip').scrollLeft = 0)")
    wait(
        page,
        "document.querySelector('.bakery-step')?.textContent === '0' || "
        "[...document.querySelectorAll('.bakery-step')].some((step) => step.textContent === '0')",
    )
    assert page.locator(".bakery-cell").count() < 60
    took = page.evaluate("""async () => {
        const frame = () => new Promise(requestAnimationFrame);
        const strip = document.querySelector(".bakery-strip");
        const start = performance.now();
        for (let i = 0; i < 20; i++) { strip.scrollLeft = i * 400; await frame(); }
        return (performance.now() - start) / 20;
    }""")
    assert took < 250, f"{took:.0f} ms a frame"


def test_text_is_never_markup_and_keys_move_in_the_strip(server, page):
    attack = "<img src=x onerror=window.hacked=1><b>fox</b>"
    show_saved_run(server, "markup", prompts=(attack, attack))
    show_node(page, "markup")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 6")
    assert page.locator(".bakery-prompt").first.inner_text() == attack
    page.locator(".bakery-cell").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    label = page.evaluate("() => document.activeElement.getAttribute('aria-label')")
    assert label == f"Step 1: {attack}"
    page.keyboard.press("Enter")
    assert attack in page.locator(".bakery-overlay-title").inner_text()
    page.keyboard.press("ArrowLeft")
    assert page.locator(".bakery-overlay-title").inner_text().startswith("Step 0 (no LoRA)")
    page.keyboard.press("Escape")
    assert page.evaluate("() => document.activeElement.className").startswith("bakery-cell")
    assert not page.evaluate("() => window.hacked")
    assert page.locator(".bakery-panel b, .bakery-panel img[onerror]").count() == 0


def test_nothing_is_drawn_when_collapsed_and_nothing_listens_when_removed(server, page):
    show_saved_run(server, "quiet")
    show_node(page, "quiet")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 3")
    page.evaluate("() => window.app.graph._nodes.find((node) => node.comfyClass === 'BakeryTrain').collapse(true)")
    page.evaluate("() => window.app.canvas.setDirty(true, true)")
    wait(page, "document.querySelector('.bakery-panel')?.offsetParent == null")
    page.evaluate(
        "() => window.app.graph.remove(window.app.graph._nodes.find((node) => node.comfyClass === 'BakeryTrain'))"
    )
    wait(page, "document.querySelectorAll('.bakery-panel').length === 0")


@pytest.mark.parametrize(("palette", "is_new"), [("light", False), ("dark", True), ("light", True)])
def test_both_renderings_and_themes(server, page, palette, is_new):
    show_saved_run(server, "looks", steps=40, previews=(0, 10, 20, 30, 40))
    page.evaluate("is => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', is)", is_new)
    page.evaluate("name => window.app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
    show_node(page, "looks")
    wait(page, "document.querySelectorAll('.bakery-cell').length === 5")
    assert has_ink(page)
    box = page.locator(".bakery-panel").bounding_box()
    cell = page.locator(".bakery-cell").first.bounding_box()
    assert box["height"] > 250
    assert box["y"] <= cell["y"] <= box["y"] + box["height"]
    colour = page.evaluate("() => getComputedStyle(document.querySelector('.bakery-status')).color")
    lightness = sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) / 3
    assert (lightness > 128) == (palette == "dark")
    page.evaluate("() => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', false)")
    page.evaluate("() => window.app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
    page.wait_for_timeout(300)
