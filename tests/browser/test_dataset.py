"""A dataset is looked at, edited and added to on its node, in a real page against a real server."""

import base64
import io
import json

import pytest
from pack.tests.browser.page import screenshot, show_nodes, wait
from pack.tests.pocket.characters import CHARACTERS, write_oc_dataset
from PIL import Image

pytestmark = pytest.mark.browser
ATTACK = "<img src=x onerror=window.hacked=1>"


@pytest.fixture
def folder(server):
    folder = server.input / "edit_me"
    folder.mkdir(exist_ok=True)
    for path in folder.rglob("*"):
        if path.is_file():
            path.unlink()
    for number, caption in enumerate(("fox, red hair", "fox, day", ATTACK)):
        Image.new("RGB", (64, 48), (200, 80 * number, 40)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(caption)
    return folder


def show_dataset(page, folder):
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": folder.name}]])
    wait(page, "document.querySelectorAll('.bakery-image').length >= 3")


def caption(page, number):
    return page.locator(".bakery-image textarea").nth(number)


def until_file(page, path, text):
    for _ in range(100):
        if path.read_text() == text:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{path.name}: {path.read_text()!r}, wanted {text!r}")


def test_captions_and_tags_are_edited_and_taken_back(page, folder):
    show_dataset(page, folder)
    caption(page, 0).fill("fox, blue hair")
    caption(page, 0).blur()
    until_file(page, folder / "0.txt", "fox, blue hair")
    page.locator(".bakery-tags button", has_text="fox").click()
    wait(page, "document.querySelectorAll('.bakery-image').length === 2")
    page.locator(".bakery-dataset input[type=text]").fill("zorblax")
    page.locator(".bakery-dataset button", has_text="Rename everywhere").click()
    until_file(page, folder / "1.txt", "zorblax, day")
    page.locator(".bakery-dataset button", has_text="Undo").click()
    until_file(page, folder / "1.txt", "fox, day")
    until_file(page, folder / "0.txt", "fox, blue hair")
    page.locator(".bakery-dataset button", has_text="Undo").click()
    until_file(page, folder / "0.txt", "fox, red hair")


def test_a_folder_chosen_on_the_node_is_shown(page, server):
    write_oc_dataset(server.input / "zorblax_gallery", CHARACTERS["zorblax"])
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": "zorblax_gallery"}]])
    wait(page, "document.querySelectorAll('.bakery-image').length >= 10")
    page.locator(".bakery-tags button").nth(1).click()
    wait(page, "/of/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    page.wait_for_timeout(500)
    screenshot(page, "dataset", {"x": 70, "y": 100, "width": 460, "height": 520})


def test_captions_are_text_and_images_can_be_left_out(page, folder):
    show_dataset(page, folder)
    assert caption(page, 2).input_value() == ATTACK
    page.locator(".bakery-image button").first.click()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 1")
    assert (folder / ".excluded" / "0.png").is_file()
    page.locator(".bakery-image button").first.click()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 0")
    assert (folder / "0.png").is_file()
    assert not page.evaluate("() => window.hacked")


def test_dropped_images_are_added(page, folder):
    show_dataset(page, folder)
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (1, 2, 3)).save(buffer, "PNG")
    page.evaluate(
        """text => {
        const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
        const files = new DataTransfer();
        files.items.add(new File([bytes], "dropped.png", { type: "image/png" }));
        const panel = document.querySelector(".bakery-dataset");
        panel.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
    }""",
        base64.b64encode(buffer.getvalue()).decode(),
    )
    wait(page, "document.querySelectorAll('.bakery-image').length === 4")
    assert (folder / "dropped.png").read_bytes() == buffer.getvalue()


def test_generated_images_are_kept_with_one_click(page, folder, server):
    show_nodes(page, [
        ["EmptyImage", [80, 80], {"width": 64, "height": 64, "batch_size": 3}],
        ["PreviewImage", [480, 80], {}],
        ["BakeryLoadDataset", [80, 400], {"folder": folder.name}],
    ])  # fmt: skip
    page.evaluate("() => { const [image, view] = window.app.graph._nodes; image.connect(0, view, 0); }")
    page.evaluate("() => window.app.queuePrompt(0)")
    find = "window.app.graph._nodes.find((node) => node.type === 'PreviewImage')"
    wait(page, f"(window.app.nodeOutputs?.[{find}.id]?.images ?? []).length === 3")
    page.evaluate(f"""() => {{
        const options = window.app.canvas.getNodeMenuOptions({find});
        options.find((option) => option?.content === "Keep these for training").callback();
    }}""")
    dialog = page.locator(".bakery-keep")
    dialog.locator(".bakery-choice").nth(1).click()
    assert dialog.locator("input").input_value() == folder.name
    dialog.locator("textarea").fill("a kept fox")
    dialog.locator("button[type=submit]").click()
    wait(page, "!document.querySelector('.bakery-keep')")
    kept = [path for path in folder.glob("*.txt") if path.read_text() == "a kept fox"]
    assert len(kept) == 2
    assert all(path.with_suffix(".png").is_file() for path in kept)
    prompt = Image.open(kept[0].with_suffix(".png")).text["prompt"]
    assert "EmptyImage" in json.dumps(json.loads(prompt)), "the picture says where it comes from"
