"""A dataset is looked at, edited and added to on its node, in a real page against a real server."""

import base64
import io
import json

import pytest
from pack.tests.browser.page import screenshot, settle, until, wait
from pack.tests.support.browser import show_nodes
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset
from PIL import Image

pytestmark = pytest.mark.browser
ATTACK = "<img src=x onerror=window.hacked=1>"


@pytest.fixture
def folder(server, request):
    """A folder of the test's own: thumbnails of the test before may still be under way."""
    folder = server.input / request.node.name[:60].replace("[", "_").replace("]", "")
    folder.mkdir()
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
    """Wait until a file has this text and the page the answer: else that tells of what a test writes next."""
    until(page, lambda: path.is_file() and path.read_text() == text, f"{path.name}: {text!r}")
    settle(page)


def test_what_the_node_found_is_read_on_it_until_something_changes(page, folder):
    (folder / "1.txt").unlink()
    show_dataset(page, folder)
    assert "folder's name" in caption(page, 1).get_attribute("placeholder")
    page.evaluate("""() => {
        const { graph } = window.app;
        const [load] = graph._nodes;
        const shown = LiteGraph.createNode("PreviewAny");
        graph.add(shown);
        load.connect(0, shown, 0);
        return window.app.queuePrompt(0);
    }""")
    notes = page.locator(".bakery-notes")
    notes.wait_for()
    assert "no caption" in notes.inner_text() and "1.png" in notes.inner_text()
    caption(page, 1).fill("fox, night")
    caption(page, 1).blur()
    until_file(page, folder / "1.txt", "fox, night")
    notes.wait_for(state="hidden")


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
    (server.input / "zorblax_gallery" / "marks.json").write_text('{"validation": ["zorblax_02.png"]}')
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": "zorblax_gallery"}]])
    wait(page, "document.querySelectorAll('.bakery-image').length >= 10")
    settle(page)
    screenshot(page, "dataset", ".bakery-dataset")
    assert "validation 1" in page.locator(".bakery-dataset .bakery-status").inner_text()
    button = page.locator(".bakery-tags button").nth(1)
    tag, count = button.inner_text().rsplit(" ", 1)
    button.click()
    wait(page, f"/^{count} of/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    shown = page.locator(".bakery-image textarea").evaluate_all("all => all.map((each) => each.value)")
    assert len(shown) == int(count) and all(tag in text for text in shown)


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


def drop(page, names):
    """Drops an image under each name; returns its bytes."""
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), (1, 2, 3)).save(buffer, "PNG")
    page.evaluate(
        """([text, names]) => {
        const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
        const files = new DataTransfer();
        for (const name of names) files.items.add(new File([bytes], name, { type: "image/png" }));
        const panel = document.querySelector(".bakery-dataset");
        panel.dispatchEvent(new DragEvent("drop", { dataTransfer: files, bubbles: true, cancelable: true }));
    }""",
        [base64.b64encode(buffer.getvalue()).decode(), names],
    )
    return buffer.getvalue()


def undo(page):
    page.locator(".bakery-dataset button", has_text="Undo").click()


def test_dropped_images_are_added_and_taken_back(page, folder):
    show_dataset(page, folder)
    assert page.locator(".bakery-add").inner_text() == f"Add images to input/{folder.name}"
    data = drop(page, ["dropped.png", "second.png"])
    wait(page, "document.querySelectorAll('.bakery-image').length === 5")
    assert (folder / "dropped.png").read_bytes() == data
    drop(page, ["dropped.png"])  # the same again: it is there already, so there is nothing to take back
    settle(page)
    undo(page)
    wait(page, "document.querySelectorAll('.bakery-image').length === 3")
    assert not (folder / "dropped.png").exists()
    assert (folder / ".removed" / "dropped.png").read_bytes() == data, "nothing is deleted"
    assert page.locator(".bakery-dataset button", has_text="Undo").is_disabled()


def test_images_are_added_with_a_button(page, folder, tmp_path):
    Image.new("RGB", (64, 64), (7, 7, 7)).save(tmp_path / "chosen.png")
    show_dataset(page, folder)
    with page.expect_file_chooser() as chooser:
        page.locator(".bakery-dataset button", has_text="Add images").focus()
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "chosen.png")
    wait(page, "document.querySelectorAll('.bakery-image').length === 4")
    assert (folder / "chosen.png").is_file()


def test_images_are_marked_left_out_and_all_is_taken_back(page, folder):
    show_dataset(page, folder)
    marks = page.locator(".bakery-image select")
    marks.nth(0).select_option("validation")
    wait(page, "/validation 1/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    marks.nth(1).select_option("regularization")
    wait(page, "/regularization 1/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    file = folder / "marks.json"
    assert json.loads(file.read_text()) == {"regularization": ["1.png"], "validation": ["0.png"]}
    page.locator(".bakery-image button").nth(2).click()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 1")

    page.evaluate("() => window.app.graph.clear()")
    show_dataset(page, folder)
    assert [marks.nth(number).input_value() for number in range(3)] == ["validation", "regularization", ""]
    marks.nth(0).select_option("")
    wait(page, "!/validation 1/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    page.locator(".bakery-image button").nth(1).click()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 2")
    undo(page)
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 1")
    undo(page)
    wait(page, "/validation 1/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    assert json.loads(file.read_text()) == {"regularization": ["1.png"], "validation": ["0.png"]}
    assert page.locator(".bakery-dataset button", has_text="Undo").is_disabled()


def test_what_the_server_refuses_is_said_and_stays_said(page, folder):
    show_dataset(page, folder)
    (folder / "marks.json").write_text("{")
    page.locator(".bakery-image select").first.select_option("validation")
    message = page.locator(".bakery-dataset .bakery-message")
    wait(page, "!document.querySelector('.bakery-dataset .bakery-message').hidden")
    assert "marks.json must have the form" in message.inner_text()
    assert (folder / "marks.json").read_text() == "{"
    settle(page)
    assert page.complaints, "the browser notes every answer that refuses"
    page.complaints.clear()


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
    wait(page, "document.querySelectorAll('.bakery-image').length === 5")
    assert all(path.with_suffix(".png").is_file() for path in kept)
    prompt = Image.open(kept[0].with_suffix(".png")).text["prompt"]
    assert "EmptyImage" in json.dumps(json.loads(prompt)), "the picture says where it comes from"


def test_a_thousand_images_stay_fluid(page, server):
    folder = server.input / "thousand"
    folder.mkdir()
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 30)).save(picture, "PNG")
    for number in range(1000):
        (folder / f"{number}.png").write_bytes(picture.getvalue())
        (folder / f"{number}.txt").write_text(f"fox, number {number}, day")
    asked = []
    page.on("request", lambda request: asked.append(request.url) if "/dataset/picture" in request.url else None)
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": folder.name}]])
    wait(page, "/1000/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    wait(page, "document.querySelector('.bakery-image img').naturalWidth > 0")
    settle(page)
    assert len(asked) < 100, "thumbnails are loaded when they come into sight"
    times = page.evaluate("""async () => {
        const frame = () => new Promise(requestAnimationFrame);
        const list = document.querySelector(".bakery-images");
        const start = performance.now();
        for (let i = 1; i <= 20; i++) { list.scrollTop = i * 300; await frame(); }
        const scrolled = performance.now();
        document.querySelector(".bakery-tags button").click();
        while (!/of/.test(document.querySelector(".bakery-dataset .bakery-status").textContent) &&
               document.querySelector(".bakery-tags [aria-pressed='true']") === null) await frame();
        await frame();
        return { frame: (scrolled - start) / 20, filter: performance.now() - scrolled };
    }""")
    print(f"1000 images: {times['frame']:.0f} ms a frame while scrolling, {times['filter']:.0f} ms to filter")
    assert times["frame"] < 100, times
    assert times["filter"] < 5000, times
