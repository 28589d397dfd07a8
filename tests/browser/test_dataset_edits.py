"""What is typed in the gallery is kept, and goes where it was shown: while answers come and others write, in drops."""

import base64
import io
import json
import re

import pytest
from pack.tests.browser.page import frames, open_again, settle, use_rendering, wait
from pack.tests.browser.test_dataset import caption, show_dataset, until_file
from pack.tests.support.browser import show_nodes
from PIL import Image
from PIL.PngImagePlugin import PngInfo

pytestmark = pytest.mark.browser

MESSAGE = "document.querySelector('.bakery-dataset .bakery-message').textContent"
UNDO = "[...document.querySelectorAll('.bakery-dataset button')].find((each) => each.textContent === 'Undo')"
FOCUSED = "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.tagName"


def undo(page):
    wait(page, f"{UNDO}.getAttribute('aria-disabled') === 'false'")
    page.get_by_role("button", name="Undo", exact=True).click()


@pytest.fixture
def folder(server, request):
    """Four pictures with captions, in a folder of the test's own."""
    folder = server.input / re.sub(r"\W", "_", request.node.name)[-60:]
    folder.mkdir()
    for number, text in enumerate(("fox, day", "fox, night", "cat, day", "cat")):
        Image.new("RGB", (64, 48), (200, 60 * number, 40)).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(text)
    return folder


@pytest.fixture
def slow(page):
    """Edits are answered after a while, as by a busy server."""

    def answer(route):
        page.wait_for_timeout(400)
        route.continue_()

    page.route(re.compile("/bakery/dataset/(captions|tag|mark|exclude)$"), answer)


def test_what_is_typed_while_a_save_is_answered_stays(page, folder, slow):
    show_dataset(page, folder)
    caption(page, 0).fill("fox, saved")
    caption(page, 1).focus()  # saves the first
    page.keyboard.press("End")
    page.keyboard.type(", typed", delay=60)
    until_file(page, folder / "0.txt", "fox, saved")
    settle(page)
    page.keyboard.type(" on", delay=30)
    assert caption(page, 1).input_value() == "fox, night, typed on"
    assert page.evaluate(FOCUSED) == "Caption of 1.png"
    caption(page, 1).blur()
    until_file(page, folder / "1.txt", "fox, night, typed on")
    caption(page, 1).focus()
    page.keyboard.press("End")
    page.keyboard.type("a")
    caption(page, 1).blur()
    caption(page, 1).focus()  # again before the answer
    page.keyboard.press("End")
    page.keyboard.type("b")
    caption(page, 1).blur()
    until_file(page, folder / "1.txt", "fox, night, typed onab")
    assert page.locator(".bakery-conflict button").count() == 0


def test_a_half_typed_name_and_the_click_after_typing_are_kept(page, folder, slow):
    show_dataset(page, folder)
    page.locator(".bakery-tags button", has_text="fox").click()
    wait(page, "document.querySelectorAll('.bakery-image').length === 2")
    caption(page, 0).fill("fox, dusk")
    name = page.locator(".bakery-dataset input[type=text]")
    name.click()
    name.fill("half a na")
    until_file(page, folder / "0.txt", "fox, dusk")
    settle(page)
    assert name.input_value() == "half a na"
    caption(page, 0).fill("no tag of it any more")
    button = page.locator(".bakery-image button").nth(1)
    box = button.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()  # the save is answered before the button is up
    settle(page)
    page.mouse.up()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 1")
    assert (folder / ".excluded" / "1.png").is_file()
    assert (folder / "0.txt").read_text() == "no tag of it any more"


def test_a_caption_that_is_too_long_is_said_and_not_cut(page, folder):
    show_dataset(page, folder)
    caption(page, 0).focus()
    page.keyboard.press("Control+a")
    page.evaluate("() => document.execCommand('insertText', false, 'x'.repeat(25000))")  # as pasting does
    caption(page, 0).blur()
    wait(page, f"{MESSAGE}.includes('20000')")
    assert len(caption(page, 0).input_value()) == 25_000
    assert (folder / "0.txt").read_text() == "fox, day"
    caption(page, 0).fill("short")
    caption(page, 0).blur()
    until_file(page, folder / "0.txt", "short")
    page.complaints.clear()  # the browser notes every answer that refuses


def test_keys_never_reach_the_canvas_from_the_gallery(page, folder):
    show_dataset(page, folder)
    page.evaluate("() => window.app.canvas.selectItems?.([window.app.graph._nodes[0]])")
    page.locator(".bakery-image button").first.focus()
    page.keyboard.press("Enter")
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 1")
    assert page.evaluate(FOCUSED).startswith("Include again")
    page.locator(".bakery-tags button", has_text="cat").first.focus()
    page.keyboard.press("Enter")
    page.locator(".bakery-dataset button", has_text="Remove everywhere").focus()
    page.keyboard.press("Enter")
    until_file(page, folder / "2.txt", "day")
    wait(page, "document.querySelector('.bakery-dataset').contains(document.activeElement)")
    for key in ("Delete", "Backspace", "r"):
        page.keyboard.press(key)
    frames(page)
    assert page.evaluate("() => window.app.graph._nodes.length") == 1


def test_what_was_written_meanwhile_is_shown_beside_what_is_typed(page, folder):
    show_dataset(page, folder)
    settle(page)  # the folder is read again when it comes into sight
    (folder / "0.txt").write_text("from an editor outside")
    caption(page, 0).fill("typed here")
    caption(page, 0).blur()
    wait(page, "document.querySelector('.bakery-theirs')?.textContent === 'from an editor outside'")
    assert caption(page, 0).input_value() == "typed here"
    assert (folder / "0.txt").read_text() == "from an editor outside"
    page.locator(".bakery-conflict button", has_text="Keep mine").click()
    until_file(page, folder / "0.txt", "typed here")
    undo(page)
    until_file(page, folder / "0.txt", "from an editor outside")
    (folder / "0.txt").write_text("once more")
    caption(page, 0).fill("typed again")
    caption(page, 0).blur()
    wait(page, "document.querySelector('.bakery-theirs')?.textContent === 'once more'")
    page.locator(".bakery-conflict button", has_text="Use the other").click()
    assert caption(page, 0).input_value() == "once more"
    settle(page)
    assert (folder / "0.txt").read_text() == "once more"
    page.complaints.clear()  # the browser notes every answer that refuses


def test_what_comes_while_a_field_has_the_keyboard_is_not_overwritten_unseen(page, folder):
    show_dataset(page, folder)
    settle(page)
    for is_typed in (False, True):
        caption(page, 0).focus()
        (folder / "0.txt").write_text(f"from outside {is_typed}")
        page.evaluate("() => window.app.graph._nodes[0].onExecuted({})")  # the folder is read again
        settle(page)
        page.keyboard.press("End")
        page.keyboard.type(", mine" if is_typed else "")
        caption(page, 0).blur()
        settle(page)
    assert (folder / "0.txt").read_text() == "from outside True"
    assert page.locator(".bakery-theirs").inner_text() == "from outside True"
    assert caption(page, 0).input_value() == "from outside False, mine"
    page.complaints.clear()  # the browser notes every answer that refuses


def test_what_is_typed_of_a_picture_that_another_leaves_out_stays(browser, server, page, folder):
    other = open_again(browser, server)
    for tab in (page, other):
        show_dataset(tab, folder)
        settle(tab)
    caption(page, 0).fill("typed here")
    other.locator(".bakery-image-actions button").first.click()
    until_file(other, folder / ".excluded" / "0.txt", "fox, day")
    caption(page, 0).blur()
    wait(page, "document.querySelector('.bakery-theirs')?.textContent === 'fox, day'")
    assert caption(page, 0).input_value() == "typed here"
    assert caption(page, 0).get_attribute("aria-label") == "Caption of .excluded/0.png"
    page.locator(".bakery-conflict button", has_text="Keep mine").click()
    until_file(page, folder / ".excluded" / "0.txt", "typed here")
    page.complaints.clear()  # the browser notes every answer that refuses
    other.context.close()


@pytest.mark.parametrize("is_left", [True, False])
def test_what_is_typed_of_a_picture_while_it_is_left_out_is_written(page, folder, slow, is_left):
    show_dataset(page, folder)
    settle(page)
    page.locator(".bakery-image-actions button").first.click()
    caption(page, 0).fill("typed meanwhile")
    if is_left:
        caption(page, 0).blur()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 1")
    caption(page, 0).blur()
    until_file(page, folder / ".excluded" / "0.txt", "typed meanwhile")
    assert page.locator(".bakery-conflict button").count() == 0


def test_what_was_typed_of_a_picture_that_is_gone_is_shown(page, folder):
    show_dataset(page, folder)
    settle(page)
    caption(page, 0).fill("typed of one that goes")
    for ending in ("png", "txt"):
        (folder / f"0.{ending}").rename(folder / f"renamed.{ending}")
    caption(page, 0).blur()
    wait(page, f"{MESSAGE}.includes('typed of one that goes')")
    assert (folder / "renamed.txt").read_text() == "fox, day"
    page.complaints.clear()  # the browser notes every answer that refuses


def test_undo_does_not_take_back_unseen_what_another_wrote(page, folder):
    show_dataset(page, folder)
    caption(page, 0).fill("mine")
    caption(page, 0).blur()
    until_file(page, folder / "0.txt", "mine")
    (folder / "0.txt").write_text("another's")
    undo(page)
    wait(page, f"{MESSAGE}.includes('0.png')")
    assert (folder / "0.txt").read_text() == "another's"
    wait(page, "document.querySelector('.bakery-image textarea').value === \"another's\"")
    undo(page)
    until_file(page, folder / "0.txt", "fox, day")
    page.complaints.clear()


def test_two_nodes_of_one_folder_show_the_same(page, folder):
    nodes = [["BakeryLoadDataset", [x, 80], {"folder": folder.name}] for x in (80, 700)]
    show_nodes(page, nodes)
    wait(page, "document.querySelectorAll('.bakery-image').length === 8")
    caption(page, 0).fill("fox, from the first")
    caption(page, 5).focus()
    until_file(page, folder / "0.txt", "fox, from the first")
    wait(page, "document.querySelectorAll('.bakery-image textarea')[4].value === 'fox, from the first'")
    caption(page, 4).fill("fox, from the second")
    caption(page, 4).blur()
    until_file(page, folder / "0.txt", "fox, from the second")
    wait(page, "document.querySelectorAll('.bakery-image textarea')[0].value === 'fox, from the second'")


CHOOSE = """folder => {
    const [node] = window.app.graph._nodes;
    const widget = node.widgets.find((each) => each.name === "folder");
    widget.value = folder;
    widget.callback(folder);
}"""


def test_what_is_typed_goes_into_the_folder_it_was_shown_from(page, server, folder, slow):
    other = server.input / f"{folder.name}_other"
    other.mkdir()
    Image.new("RGB", (32, 32)).save(other / "0.png")
    (other / "0.txt").write_text("of the other")
    (other / "1.png").write_bytes((folder / "1.png").read_bytes())
    (other / "1.txt").write_bytes(b"\xff\xfe\x00 no text")
    show_dataset(page, folder)
    caption(page, 0).fill("typed in the first")
    page.evaluate(CHOOSE, other.name)
    wait(page, "document.querySelectorAll('.bakery-image').length === 2")
    until_file(page, folder / "0.txt", "typed in the first")
    assert (other / "0.txt").read_text() == "of the other"
    assert caption(page, 0).input_value() == "of the other"
    assert "UTF-8" in page.locator(".bakery-about").nth(1).inner_text()
    assert caption(page, 1).get_attribute("readonly") is not None
    caption(page, 0).fill("typed in the other")
    page.evaluate("() => window.app.loadGraphData({ nodes: [], links: [], version: 0.4 })")  # the node goes
    until_file(page, other / "0.txt", "typed in the other")


def test_the_captions_that_are_trained_are_shown(page, folder):
    (folder / "0.tags").write_text("trained")
    (folder / "meta.json").write_text(json.dumps({"1.png": {"caption": "from the metadata"}}))
    values = {"folder": folder.name, "caption_extension": ".tags", "metadata": "meta.json"}
    show_nodes(page, [["BakeryLoadDataset", [80, 80], values]])
    wait(page, "document.querySelector('.bakery-image textarea')?.value === 'trained'")
    assert caption(page, 1).input_value() == "from the metadata"
    assert caption(page, 1).get_attribute("readonly") is not None
    assert "meta.json" in page.locator(".bakery-about").nth(1).inner_text()
    assert ".tags" in page.locator(".bakery-dataset input[type=file]").get_attribute("accept")
    caption(page, 0).fill("edited")
    caption(page, 0).blur()
    until_file(page, folder / "0.tags", "edited")
    assert (folder / "0.txt").read_text() == "fox, day"
    # ComfyUI keeps the values of widgets by the node's id, for the next node that gets it.
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"caption_extension": ".txt", "metadata": ""}]])


def test_pictures_of_one_stem_say_that_they_share_a_caption(page, folder):
    Image.new("RGB", (64, 48)).save(folder / "0.jpg")
    show_dataset(page, folder)
    wait(page, "document.querySelectorAll('.bakery-image').length === 5")
    assert "0.png" in page.locator(".bakery-about").nth(0).inner_text()
    caption(page, 0).fill("of both")
    caption(page, 0).blur()
    wait(page, "document.querySelectorAll('.bakery-image textarea')[1].value === 'of both'")
    page.locator(".bakery-image button").nth(1).click()
    wait(page, "document.querySelectorAll('.bakery-excluded').length === 1")
    assert (folder / "0.txt").read_text() == (folder / ".excluded" / "0.txt").read_text() == "of both"


def drop(page, files):
    """Drops (name, type, bytes) on the gallery."""
    page.evaluate(
        """files => {
        const dropped = new DataTransfer();
        for (const [name, type, text] of files) {
            const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
            dropped.items.add(new File([bytes], name, { type }));
        }
        const panel = document.querySelector(".bakery-dataset");
        panel.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
    }""",
        [[name, kind, base64.b64encode(data).decode()] for name, kind, data in files],
    )


def png(color):
    buffer = io.BytesIO()
    Image.new("RGB", (64, 64), color).save(buffer, "PNG")
    return buffer.getvalue()


def count(page, number):
    wait(page, f"document.querySelectorAll('.bakery-image').length === {number}")


def test_dropped_captions_go_to_their_images_and_come_back(page, folder):
    show_dataset(page, folder)
    drop(page, [("0.txt", "text/plain", b"a new caption"), ("nobody.txt", "text/plain", b"x")])
    until_file(page, folder / "0.txt", "a new caption")
    assert not (folder / "0 (1).txt").exists()
    wait(page, f"{MESSAGE}.includes('nobody.txt')")
    undo(page)
    until_file(page, folder / "0.txt", "fox, day")
    drop(page, [("1.png", "image/png", png((9, 9, 9))), ("1.txt", "text/plain", b"of the new one")])
    count(page, 5)
    until_file(page, folder / "1 (1).txt", "of the new one")
    assert (folder / "1.txt").read_text() == "fox, night"
    undo(page)
    count(page, 4)


def test_what_training_does_not_read_is_said(page, folder):
    show_dataset(page, folder)
    latin = ("0.txt", "text/plain", "schön".encode("latin-1"))
    drop(page, [("moving.gif", "image/gif", b"GIF89a"), ("new.png", "image/png", png((1, 1, 1))), latin])
    count(page, 5)
    wait(page, f"{MESSAGE}.includes('0.txt')")
    assert (folder / "0.txt").read_text() == "fox, day"
    wait(page, f"{MESSAGE}.includes('moving.gif') && {MESSAGE}.includes('.webp')")
    assert not (folder / "moving.gif").exists()


@pytest.mark.parametrize("name", ["photo.heic", "notes", "all.zip"])
def test_whatever_is_dropped_on_the_gallery_is_never_ignored(page, folder, name):
    """The browser knows no type of these."""
    show_dataset(page, folder)
    drop(page, [(name, "", b"x")])
    wait(page, f"{MESSAGE}.includes('{name}')")
    assert not (folder / name).exists()


def test_a_dropped_folder_is_said(page, folder):
    show_dataset(page, folder)
    box = page.locator(".bakery-images").bounding_box()
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(folder)], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        place = {"type": kind, "x": box["x"] + 30, "y": box["y"] + 30}
        session.send("Input.dispatchDragEvent", {**place, "data": data})
    wait(page, f"{MESSAGE}.includes('{folder.name} is a folder')")


def test_a_dropped_picture_takes_no_caption_from_one_that_is_there(page, folder):
    show_dataset(page, folder)
    drop(page, [("0.JPG", "image/jpeg", png((7, 7, 7))), ("0.txt", "text/plain", b"of the new one")])
    until_file(page, folder / "0-2.txt", "of the new one")
    count(page, 5)
    assert (folder / "0.txt").read_text() == "fox, day"
    assert page.locator(".bakery-about:visible").count() == 0, "no two of them share a caption"


def test_what_is_dropped_before_the_folder_is_listed_is_added(page, server, folder):
    page.route(re.compile(r"/bakery/dataset\?"), lambda route: (page.wait_for_timeout(300), route.continue_()))
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": folder.name}]])
    page.locator(".bakery-dataset").wait_for(state="attached")
    drop(page, [("new.png", "image/png", png((1, 2, 3)))])
    count(page, 5)
    assert (folder / "new.png").is_file()


@pytest.mark.parametrize("status", [403, 404, 500, 0])
def test_a_step_that_the_disk_refuses_for_now_is_taken_back_later(page, folder, status):
    show_dataset(page, folder)
    caption(page, 0).fill("mine")
    caption(page, 0).blur()
    until_file(page, folder / "0.txt", "mine")
    say_no = (lambda route: route.fulfill(status=status, json={"error": "not now"})) if status else None
    page.route(re.compile("/bakery/dataset/captions$"), say_no or (lambda route: route.abort()))
    undo(page)
    wait(page, f"{MESSAGE} !== ''")
    settle(page)
    page.unroute_all()
    undo(page)
    until_file(page, folder / "0.txt", "fox, day")
    page.complaints.clear()


def test_dropping_and_undoing_again_and_again(page, folder):
    show_dataset(page, folder)
    for number in range(3):
        drop(page, [("new.png", "image/png", png((number, 0, 0)))])
        count(page, 5)
        undo(page)
        count(page, 4)
    assert len(list((folder / ".removed").glob("*.png"))) == 3
    caption(page, 0).fill("still edited")
    caption(page, 0).blur()
    until_file(page, folder / "0.txt", "still edited")
    undo(page)
    until_file(page, folder / "0.txt", "fox, day")


def test_more_than_a_mebibyte_of_captions_is_taken_back(page, folder):
    text = "fox, " + ", ".join(f"tag number {number}" for number in range(250))
    for number in range(400):
        (folder / f"many{number}.png").write_bytes((folder / "0.png").read_bytes())
        (folder / f"many{number}.txt").write_text(text)
    show_dataset(page, folder)
    wait(page, "/404 images/.test(document.querySelector('.bakery-dataset .bakery-status').textContent)")
    assert page.locator(".bakery-image").count() < 250, "of many, those near what is seen are in the page"
    page.locator(".bakery-tags button", has_text="fox").first.click()
    page.locator(".bakery-dataset input[type=text]").fill("zorblax")
    page.locator(".bakery-dataset button", has_text="Rename everywhere").click()
    first = "document.querySelector('.bakery-image textarea').value"
    wait(page, f"{first}.startsWith('zorblax')")
    assert (folder / "many399.txt").read_text() == text.replace("fox", "zorblax")
    undo(page)
    wait(page, f"{first}.startsWith('fox')")
    assert (folder / "many399.txt").read_text() == text
    until_file(page, folder / "0.txt", "fox, day")


@pytest.mark.parametrize("is_new", [False, True])
def test_the_wheel_scrolls_the_gallery(page, folder, is_new):
    for number in range(30):
        (folder / f"many{number}.png").write_bytes((folder / "0.png").read_bytes())
    use_rendering(page, is_new)
    show_dataset(page, folder)
    count(page, 34)
    box = page.locator(".bakery-images").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 60)
    page.mouse.wheel(0, 200)
    wait(page, "document.querySelector('.bakery-images').scrollTop > 50")
    assert page.evaluate("() => window.app.canvas.ds.scale") == 1
    (folder / "0.txt").write_text(", ".join(f"tag number {number}" for number in range(60)))
    page.evaluate("() => window.app.graph._nodes[0].onExecuted({})")
    wait(page, "document.querySelectorAll('.bakery-tags button').length > 50")
    box = page.locator(".bakery-tags").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.wheel(0, 60)
    wait(page, "document.querySelector('.bakery-tags').scrollTop > 20")
    assert page.evaluate("() => window.app.canvas.ds.scale") == 1
    page.evaluate("text => window.app.graph._nodes[0].onExecuted({ text })", [f"note {number}" for number in range(30)])
    box = page.locator(".bakery-notes").bounding_box()
    page.mouse.move(box["x"] + 30, box["y"] + 30)
    page.mouse.wheel(0, 60)
    wait(page, "document.querySelector('.bakery-notes').scrollTop > 20")
    assert page.evaluate("() => window.app.canvas.ds.scale") == 1
    page.keyboard.down("Control")  # as two fingers on a trackpad
    page.mouse.wheel(0, -100)
    page.keyboard.up("Control")
    wait(page, "window.app.canvas.ds.scale > 1")


def test_a_kept_picture_brings_the_prompt_it_was_made_from(page, server, folder):
    """Not what the graph would draw now, and all of it."""
    graph = {
        "5": {"class_type": "PreviewImage", "inputs": {"images": ["3", 0]}},
        "3": {"class_type": "KSampler", "inputs": {"positive": ["2", 0], "negative": ["1", 0]}},
        "2": {"class_type": "CLIPTextEncode", "inputs": {"text": "a fox as it was,\nred hair"}},
        "1": {"class_type": "CLIPTextEncode", "inputs": {"text": "ugly"}},
    }
    info = PngInfo()
    info.add_text("prompt", json.dumps(graph))
    Image.new("RGB", (32, 32)).save(server.output / "was.png", pnginfo=info)
    show_nodes(page, [["PreviewImage", [480, 80], {}], ["BakeryLoadDataset", [80, 400], {"folder": folder.name}]])
    page.evaluate("""() => {
        const node = window.app.graph._nodes.find((each) => each.type === "PreviewImage");
        node.images = [{ filename: "was.png", subfolder: "", type: "output" }];
        const options = window.app.canvas.getNodeMenuOptions(node);
        options.find((option) => option?.content === "Keep these for training").callback();
    }""")
    dialog = page.locator(".bakery-keep")
    assert dialog.locator("textarea").input_value() == "a fox as it was, red hair"
    assert dialog.locator("input").input_value() == folder.name
    assert dialog.get_by_text("as it is now").is_hidden()
    page.keyboard.press("Escape")


def test_that_a_kept_picture_tells_no_prompt_is_said(page, server):
    Image.new("RGB", (32, 32)).save(server.output / "plain.png")
    show_nodes(page, [["PreviewImage", [480, 80], {}], ["CLIPTextEncode", [80, 80], {"text": "of now"}]])
    page.evaluate("""() => {
        const [preview, text] = window.app.graph._nodes;
        preview.images = [{ filename: "plain.png", subfolder: "", type: "output" }];
        preview.addInput("positive", "CONDITIONING");
        text.connect(0, preview, preview.inputs.length - 1);
        const options = window.app.canvas.getNodeMenuOptions(preview);
        options.find((option) => option?.content === "Keep these for training").callback();
    }""")
    dialog = page.locator(".bakery-keep")
    assert dialog.locator("textarea").input_value() == "of now"
    assert dialog.get_by_text("as it is now").is_visible()
    dialog.locator("textarea").dispatch_event("keydown", {"key": "Escape", "isComposing": True})
    assert dialog.is_visible(), "the key ended what was being composed"
    page.keyboard.press("Escape")
    assert not dialog.is_visible()


def test_what_is_typed_is_written_when_the_tab_is_left(browser, server, page, folder):
    other = open_again(browser, server)
    show_dataset(other, folder)
    other.locator(".bakery-image textarea").first.click()
    other.keyboard.press("End")
    other.keyboard.type(", typed last")
    other.goto("about:blank")
    until_file(page, folder / "0.txt", "fox, day, typed last")
    other.context.close()
