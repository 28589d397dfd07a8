"""A LoRA is watched and steered on its node, in a real page against a real server."""

import json

import pytest
from pack.tests.browser.page import IS_WRITING_SCREENSHOTS, screenshot, show_nodes, wait
from pack.tests.pocket.characters import CHARACTERS, write_oc_dataset
from PIL import Image

pytestmark = pytest.mark.browser

RUN, SET = "0123456789ab", "abcdefabcdef"
PROMPTS = "zorblax, white background\nred creature with a hat"
SAMPLING_STEPS = 6 if IS_WRITING_SCREENSHOTS else 2

TYPED = "red creature, sand background" if IS_WRITING_SCREENSHOTS else "zorblax <img src=x onerror=window.hacked=1>"


@pytest.fixture(scope="module")
def folder(server):
    folder = server.input / "live_zorblax"
    write_oc_dataset(folder, CHARACTERS["zorblax"])
    return folder


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


def show_node(page, name):
    show_nodes(page, [["BakeryTrain", [420, 60], {"name": name}]], top=350)


def show_graph(page, name, folder):
    nodes = [
        ["CheckpointLoaderSimple", [20, 60], {"ckpt_name": "pocket.safetensors"}],
        ["BakeryLoadDataset", [-500, 60], {"folder": folder.name}],
        ["BakeryBuckets", [20, 640], {"resolution": 64}],
        [
            "BakeryPreview",
            [900, 60],
            {"prompts": PROMPTS, "width": 64, "height": 64, "every": 2, "steps": SAMPLING_STEPS, "seed": 3},
        ],
        ["BakeryTrain", [420, 60], {"name": name, "steps": 400}],
    ]
    links = [
        [0, 0, 4, "model"], [0, 1, 4, "clip"], [0, 2, 4, "vae"], [1, 0, 2, "dataset"], [2, 0, 4, "dataset"],
        [3, 0, 4, "preview"],
    ]  # fmt: skip
    show_nodes(page, nodes, links, top=350)


def status(page):
    return page.locator(".bakery-training .bakery-status").inner_text()


def press(page, text):
    page.locator(".bakery-training button", has_text=text).click()


@pytest.mark.slow
def place(page):
    """Where the run stands, without its speed and the time left, which are measured anew all the time."""
    return [
        part.strip()
        for part in status(page).split("·")
        if "it/s" not in part and "s/it" not in part and "left" not in part
    ]


def test_watch_pause_try_pick_stop_and_reload(server, page, folder, pocket_checkpoint, browser):
    show_graph(page, "live", folder)
    assert "appear here" in page.locator(".bakery-training").inner_text()
    page.evaluate("() => window.app.queuePrompt(0)")
    wait(page, f"document.querySelectorAll('.bakery-cell').length >= {10 if IS_WRITING_SCREENSHOTS else 4}")
    wait(page, "/training/.test(document.querySelector('.bakery-training .bakery-status').textContent)")
    assert has_ink(page)

    press(page, "Pause")
    wait(page, "/paused/.test(document.querySelector('.bakery-training .bakery-status').textContent)")
    before = place(page)
    page.locator(".bakery-try input[type=text]").fill(TYPED)
    page.locator(".bakery-try button").click()
    wait(page, "document.querySelector('.bakery-try-picture').src.startsWith('data:image/jpeg')")
    assert place(page) == before
    press(page, "Save now")
    page.wait_for_timeout(500)
    screenshot(page, "train_live", {"x": 410, "y": 70, "width": 500, "height": 700})

    compare_and_pick(page)

    press(page, "Go on")
    press(page, "Rate ×0.5")
    wait(page, "/training/.test(document.querySelector('.bakery-training .bakery-status').textContent)")
    press(page, "Stop & keep")
    wait(page, "document.querySelector('.bakery-training .bakery-row').hidden")
    wait(page, "!document.querySelector('.bakery-training .bakery-status').textContent.includes('left')")
    assert (server.output / "loras" / "live" / "live.safetensors").is_file()
    assert not page.evaluate("() => window.hacked")

    workflow = page.evaluate("() => JSON.parse(JSON.stringify(window.app.graph.serialize()))")
    second = open_again(browser, server)
    second.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    wait(second, "document.querySelectorAll('.bakery-cell').length >= 4")
    assert "★" in status(second)
    assert has_ink(second)
    second.context.close()


def compare_and_pick(page):
    page.locator(".bakery-cell").first.click()
    overlay = page.locator(".bakery-overlay")
    page.keyboard.press("End")
    page.keyboard.press("ArrowUp")
    overlay.locator("select").select_option("0")
    assert overlay.locator(".bakery-divider").get_attribute("aria-valuenow") == "50"
    screenshot(page, "compare_steps")
    overlay.locator("button", has_text="Pick this step").click()
    wait(page, "/★/.test(document.querySelector('.bakery-training .bakery-status').textContent)")
    page.keyboard.press("Escape")
    assert overlay.count() == 0


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
    wait(page, "document.querySelector('.bakery-training')?.offsetParent == null")
    page.evaluate(
        "() => window.app.graph.remove(window.app.graph._nodes.find((node) => node.comfyClass === 'BakeryTrain'))"
    )
    wait(page, "document.querySelectorAll('.bakery-training').length === 0")


@pytest.mark.parametrize(("palette", "is_new"), [("light", False), ("dark", True), ("light", True)])
def test_both_renderings_and_themes(server, page, palette, is_new):
    show_saved_run(server, "looks", steps=40, previews=(0, 10, 20, 30, 40))
    page.evaluate("is => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', is)", is_new)
    page.evaluate("name => window.app.extensionManager.setting.set('Comfy.ColorPalette', name)", palette)
    show_node(page, "looks")
    wait(page, "document.querySelectorAll('.bakery-cell').length >= 3")
    assert has_ink(page)
    box = page.locator(".bakery-training").bounding_box()
    cell = page.locator(".bakery-cell").first.bounding_box()
    assert box["height"] > 250
    assert box["y"] <= cell["y"] <= box["y"] + box["height"]
    colour = page.evaluate("() => getComputedStyle(document.querySelector('.bakery-training .bakery-status')).color")
    lightness = sum(int(part) for part in colour.strip("rgba()").split(",")[:3]) / 3
    assert (lightness > 128) == (palette == "dark")
    page.evaluate("() => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', false)")
    page.evaluate("() => window.app.extensionManager.setting.set('Comfy.ColorPalette', 'dark')")
    page.wait_for_timeout(300)
