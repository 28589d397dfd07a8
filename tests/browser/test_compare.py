"""Pictures of a comparison: large on click, one chosen, voted on blind, ranked, and all there after a reload."""

import itertools
import json
import re
import shutil

import pytest
from pack.tests.browser.page import (
    IS_WRITING_SCREENSHOTS,
    TIMEOUT_S,
    frames,
    open_again,
    screenshot,
    settle,
    until,
    use_rendering,
    wait,
)
from pack.tests.support.browser import show_nodes
from pack.training.compare.layout import Cell
from pack.training.compare.store import Comparison, save_comparison
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset
from PIL import Image

pytestmark = pytest.mark.browser
RUN, NAME, KEY = "fedcba987654", "voted", "0123456789abcdef01234567"
LORAS = ("no LoRA", "step 10", "step 20")
PROMPTS = ("fox", "<b>fox</b>")
COMPARE = "window.app.graph._nodes.find((node) => node.comfyClass === 'BakeryCompare')"


@pytest.fixture
def folder(server):
    """A comparison that was drawn of the steps of a run: colors tell LoRA and prompt."""
    root = server.output / "loras" / NAME
    (root / ".run" / RUN).mkdir(parents=True, exist_ok=True)
    record = {"format": 1, "base": "", "dataset": "", "segments": [], "description": {}}
    (root / ".run" / RUN / "run.json").write_text(json.dumps(record))
    (root / ".run" / "current").write_text(RUN)
    for step in (10, 20):
        (root / f"{NAME}-step{step:06d}.safetensors").write_bytes(b"")
    cells = [Cell(lora, prompt, 0, 0) for lora, prompt in itertools.product(range(3), range(2))]
    comparison = Comparison(
        loras=LORAS, steps=(None, 10, 20), prompts=PROMPTS, strengths=(1.0,), text_strengths=(None,), run=(RUN, NAME),
        cells=tuple(cells), scores=(0.2, 0.2, 0.5, 0.5, 0.8, 0.8), plain_scores=(0.2, 0.2, 0.7),
        others_changed=(None, 0.1, 0.4),
    )  # fmt: skip
    pictures = [Image.new("RGB", (64, 64), (80 * cell.lora, 90, 160 * cell.prompt)) for cell in cells]
    folder = server.base / "user" / "lora_bakery" / "comparisons" / KEY
    for name in ("votes.json", "choice.json"):
        (folder / name).unlink(missing_ok=True)
    save_comparison(folder, comparison, pictures)
    return folder


def show_comparison(page):
    show_nodes(page, [["BakeryCompare", [420, 60], {}]], top=520)
    page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", KEY)
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")


def press(page, text):
    page.locator(".bakery-compare button", has_text=text).click()


def test_look_and_choose_a_cell(page, server, folder):
    show_comparison(page)
    assert "unasked 83 %\noverfit: others changed 40 %" in page.locator(".bakery-compare-row").nth(2).inner_text()
    page.locator(".bakery-compare-cell").nth(3).click()
    wait(page, "document.querySelector('.bakery-compare-large img')?.naturalWidth === 64")
    title = page.locator(".bakery-compare-title")
    assert title.inner_text() == "step 10 · <b>fox</b> · likeness 0.500"
    page.keyboard.press("ArrowRight")
    assert title.inner_text().startswith("step 20 · fox")
    press(page, "Choose this")
    wait(page, "/Chosen/.test(document.querySelector('.bakery-compare').innerText)")
    assert json.loads((folder / "choice.json").read_text()) == 4
    pick = server.output / "loras" / NAME / ".run" / RUN / "pick.json"
    assert json.loads(pick.read_text()) == {"step": 20, "picked_at": 20}
    press(page, "Back")
    assert page.locator(".bakery-compare-cell.bakery-picked").count() == 1
    assert page.locator(".bakery-compare b").count() == 0

    page.locator(".bakery-compare-cell").nth(4).focus()
    page.keyboard.press("Enter")
    press(page, "Chosen")
    wait(page, "/Choose this/.test(document.querySelector('.bakery-compare').innerText)")
    assert not (folder / "choice.json").exists()
    assert not pick.exists()


@pytest.mark.parametrize("is_new", [False, True])
def test_keys_reach_every_cell_and_choose(page, folder, is_new):
    """Tab stops once in the grid; arrows move in it, Enter opens and then chooses, Escape leads back to the cell."""
    use_rendering(page, is_new)
    show_comparison(page)
    label = "() => document.activeElement.getAttribute('aria-label') ?? document.activeElement.textContent"
    page.locator(".bakery-compare button", has_text="Vote blind").focus()
    page.keyboard.press("Tab")
    assert page.evaluate(label) == "no LoRA · fox · likeness 0.200"
    seen = [page.evaluate(label)]
    for key in ("ArrowRight", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowLeft", "ArrowUp"):
        page.keyboard.press(key)
        seen.append(page.evaluate(label))
    assert [text.split(" · likeness")[0] for text in seen[1:]] == [
        "no LoRA · <b>fox</b>", "step 10 · <b>fox</b>", "step 20 · <b>fox</b>", "step 20 · <b>fox</b>",
        "step 20 · fox", "step 10 · fox",
    ]  # fmt: skip
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid", "focus is seen"
    assert page.evaluate("() => document.querySelectorAll('.bakery-compare-cell[tabindex=\"0\"]').length") == 1
    page.keyboard.press("Enter")
    assert page.locator(".bakery-compare-title").inner_text().startswith("step 10 · fox")
    page.keyboard.press("Enter")
    wait(page, "/Chosen/.test(document.querySelector('.bakery-compare').innerText)")
    assert json.loads((folder / "choice.json").read_text()) == 2
    page.keyboard.press("Escape")
    assert page.evaluate(label).startswith("step 10 · fox")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Tab")
    assert page.evaluate(label).startswith("step 10 · fox"), "Tab comes back to where one was"


IS_IN = "document.querySelector('.bakery-compare').contains(document.activeElement)"


def test_the_keyboard_stays_in_the_panel_and_is_taken_from_nobody(page, folder):
    show_comparison(page)
    for key in ("Enter", "Escape"):  # of the button that leads back, and of the pair
        press(page, "Vote blind")
        if key == "Enter":
            page.locator(".bakery-compare button", has_text="Back").focus()
        page.keyboard.press(key)
        assert page.evaluate(f"() => {IS_IN} && document.activeElement.classList.contains('bakery-compare-cell')"), key
    page.locator(".bakery-compare-cell").nth(2).click()
    show = f"id => {COMPARE}.onExecuted({{ bakery_compare: [{{ id }}] }})"
    page.evaluate(show, KEY)
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")
    assert page.evaluate(f"() => {IS_IN}")
    page.locator(".bakery-compare-cell").nth(2).click()
    page.evaluate("() => { const field = document.body.appendChild(document.createElement('input')); field.focus(); }")
    page.evaluate(show, KEY)
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")
    assert page.evaluate("() => document.activeElement.tagName") == "INPUT"
    page.evaluate("() => document.activeElement.remove()")


def test_votes_are_blind_ranked_taken_back_and_kept(page, folder):
    show_comparison(page)
    press(page, "Vote blind")
    for number in range(1, 7):
        sources = page.locator(".bakery-pair img").evaluate_all("images => images.map((image) => image.src)")
        assert "step" not in page.locator(".bakery-compare").inner_text(), "a blind vote names no LoRA"
        best = max(range(2), key=lambda side: sources[side].split(KEY)[1])
        page.locator(".bakery-pair button").nth(best).click()
        until_votes(page, folder, number)
    page.keyboard.press("ArrowLeft")
    until_votes(page, folder, 7)
    press(page, "Undo vote")
    until_votes(page, folder, 6)
    press(page, "Back")
    assert page.locator(".bakery-rank li").first.inner_text().startswith("step 20:")
    assert all(winner > loser for winner, loser in json.loads((folder / "votes.json").read_text()))


def until_votes(page, folder, count):
    path = folder / "votes.json"
    until(page, lambda: path.exists() and len(json.loads(path.read_text())) == count, f"{count} votes")
    settle(page)


def test_pictures_votes_and_choice_are_there_after_a_reload(page, server, browser, folder):
    (folder / "votes.json").write_text(json.dumps([[4, 2]]))
    (folder / "choice.json").write_text("4")
    show_comparison(page)
    workflow = page.evaluate("() => window.app.graph.serialize()")
    other = open_again(browser, server)
    other.evaluate("workflow => window.app.loadGraphData(workflow)", workflow)
    wait(other, "document.querySelectorAll('.bakery-compare-cell.bakery-picked').length === 1")
    assert other.locator(".bakery-rank li").first.inner_text().startswith("step 20:")
    other.reload()
    wait(other, "document.querySelectorAll('.bakery-compare-cell.bakery-picked').length === 1")
    assert other.locator(".bakery-compare-cell").count() == 6
    other.context.close()


def test_a_comparison_that_is_gone_leaves_the_hint(page):
    show_nodes(page, [["BakeryCompare", [420, 60], {}]], top=520)
    page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", "f" * 24)
    settle(page)
    assert "The pictures appear here" in page.locator(".bakery-compare").inner_text()
    page.complaints.clear()  # the browser notes every answer that is not found


def test_an_answer_that_failed_is_said_and_asked_for_again(page, folder):
    show_nodes(page, [["BakeryCompare", [420, 60], {}]], top=520)
    page.route(f"**/compare/{KEY}", lambda route: route.fulfill(status=500, json={"error": "the disk is gone"}))
    page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", KEY)
    wait(page, "/the disk is gone/.test(document.querySelector('.bakery-compare .bakery-message').textContent)")
    assert page.locator(".bakery-compare .bakery-empty").is_hidden(), "nothing says that nothing was compared"
    page.unroute_all(behavior="wait")
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 6")
    assert page.locator(".bakery-compare .bakery-message").inner_text() == ""
    page.complaints.clear()  # the browser notes every answer that refuses


def test_nothing_of_one_comparison_stays_in_the_panel_of_another(page, folder):
    show_comparison(page)
    page.locator(".bakery-compare-cell").nth(3).click()
    page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", "f" * 24)
    page.locator(".bakery-compare .bakery-empty").wait_for()
    assert page.locator(".bakery-compare img").count() == 0
    assert page.locator(".bakery-compare button:visible").count() == 0
    page.complaints.clear()


@pytest.fixture
def slow(page):
    """Answers about votes and choices come after a while."""

    def answer(route):
        page.wait_for_timeout(200)
        route.continue_()

    page.route(re.compile("/bakery/compare/.*/(votes|choice)$"), answer)


def test_a_choice_that_is_pressed_twice_is_one(page, folder, slow):
    show_comparison(page)
    page.locator(".bakery-compare-cell").nth(3).click()
    page.locator(".bakery-compare button", has_text="Choose this").dblclick()
    wait(page, "/Chosen/.test(document.querySelector('.bakery-compare').innerText)")
    settle(page)
    assert page.locator(".bakery-compare .bakery-message").inner_text() == ""
    assert (folder / "choice.json").read_text() == "3"


def test_an_answer_about_one_comparison_does_not_come_into_another(page, folder, slow):
    other = folder.parent / KEY[::-1]
    shutil.copytree(folder, other, dirs_exist_ok=True)
    (other / "choice.json").write_text("5")
    show_comparison(page)
    page.locator(".bakery-compare-cell").nth(3).click()
    press(page, "Choose this")
    page.evaluate(f"key => {COMPARE}.onExecuted({{ bakery_compare: [{{ id: key }}] }})", other.name)
    settle(page)
    assert (folder / "choice.json").read_text() == "3"
    page.locator(".bakery-compare-cell").nth(5).click()
    assert page.locator(".bakery-compare").inner_text().count("Chosen") == 1, "of the one that is shown"
    press(page, "Back")
    assert page.locator(".bakery-compare-cell.bakery-picked").get_attribute("data-cell") == "5"
    shutil.rmtree(other)


def test_enter_that_is_held_takes_one_vote_back(page, folder):
    (folder / "votes.json").write_text(json.dumps([[4, 2], [4, 2], [4, 2]]))
    show_comparison(page)
    press(page, "Vote blind")
    page.locator(".bakery-compare button", has_text="Undo vote").focus()
    for _ in range(8):  # as the keyboard repeats it
        page.keyboard.down("Enter")
        settle(page)
    page.keyboard.up("Enter")
    settle(page)
    assert len(json.loads((folder / "votes.json").read_text())) == 2


def test_a_vote_that_was_not_kept_is_said_and_its_pair_stays(page, folder):
    show_comparison(page)
    press(page, "Vote blind")
    shown = "() => [...document.querySelectorAll('.bakery-pair img')].map((image) => image.src)"
    before = page.evaluate(shown)
    page.route("**/votes", lambda route: route.abort())
    page.locator(".bakery-pair button").first.click()
    wait(page, "/^Failed/.test(document.querySelector('.bakery-compare .bakery-message').textContent)")
    settle(page)
    assert "Failed" in page.locator(".bakery-compare .bakery-message").inner_text()
    assert page.evaluate(shown) == before
    page.unroute_all(behavior="wait")
    page.locator(".bakery-pair button").first.click()
    until_votes(page, folder, 1)
    wait(page, "document.querySelector('.bakery-compare .bakery-message').textContent === ''")
    page.complaints.clear()


def test_a_key_that_is_held_is_one_vote(page, folder):
    show_comparison(page)
    press(page, "Vote blind")
    page.keyboard.down("ArrowLeft")
    for _ in range(15):  # as the keyboard repeats it
        frames(page)
        page.keyboard.down("ArrowLeft")
    page.keyboard.up("ArrowLeft")
    settle(page)
    assert len(json.loads((folder / "votes.json").read_text())) == 1


def test_votes_and_picks_of_another_tab_are_kept(page, server, folder):
    show_comparison(page)
    press(page, "Vote blind")
    (folder / "votes.json").write_text(json.dumps([[4, 2], [4, 0]]))  # as another tab left it
    page.locator(".bakery-pair button").first.click()
    until_votes(page, folder, 3)
    press(page, "Undo vote")
    until_votes(page, folder, 2)
    assert json.loads((folder / "votes.json").read_text()) == [[4, 2], [4, 0]]
    press(page, "Back")
    page.locator(".bakery-compare-cell").nth(4).click()
    press(page, "Choose this")
    wait(page, "/Chosen/.test(document.querySelector('.bakery-compare').innerText)")
    pick = server.output / "loras" / NAME / ".run" / RUN / "pick.json"
    pick.write_text(json.dumps({"step": 10, "picked_at": 20}))  # picked in the strip since
    press(page, "Chosen")
    wait(page, "/Choose this/.test(document.querySelector('.bakery-compare').innerText)")
    settle(page)
    assert not (folder / "choice.json").exists()
    assert json.loads(pick.read_text())["step"] == 10
    (folder / "choice.json").write_text("2")  # chosen in another tab
    press(page, "Choose this")
    wait(page, "/changed meanwhile/.test(document.querySelector('.bakery-compare .bakery-message').textContent)")
    assert (folder / "choice.json").read_text() == "2"
    page.complaints.clear()


@pytest.mark.slow
def test_steps_are_compared_and_one_chosen_for_the_next_queue(page, server, pocket_checkpoint):
    """On the host from training on; for the picture in the docs long enough to learn something."""
    write_oc_dataset(server.input / "compared_zorblax", CHARACTERS["zorblax"])
    every = 50 if IS_WRITING_SCREENSHOTS else 1
    size = {"width": 64, "height": 64}
    sampling = {"sampling_steps": 20 if IS_WRITING_SCREENSHOTS else 2, "cfg": 4}
    prompts = "zorblax, white background\nzorblax, sky background\nred creature, sand background"
    show_nodes(
        page,
        [
            ["CheckpointLoaderSimple", [-900, 60], {"ckpt_name": pocket_checkpoint.name}],
            ["BakeryLoadDataset", [-900, 300], {"folder": "compared_zorblax"}],
            ["BakeryBuckets", [-400, 640], {"resolution": 64}],
            ["BakeryPreview", [-400, 60], {"prompts": "fox", "every": 0, "steps": 1, **size}],
            ["BakeryOptimizer", [-400, 900], {"learning_rate": 1e-3}],
            ["BakeryTrain", [-60, 1200], {"name": "compared", "steps": 3 * every, "save_every": every}],
            ["BakeryCompare", [420, 60], {"prompts": prompts, **sampling, **size}],
            ["PreviewImage", [900, 60], {}],
        ],
        [
            [0, 0, 5, "model"], [0, 1, 5, "clip"], [0, 2, 5, "vae"], [1, 0, 2, "dataset"], [2, 0, 5, "dataset"],
            [3, 0, 5, "preview"], [4, 0, 5, "optimizer"],
            [0, 0, 6, "model"], [0, 1, 6, "clip"], [0, 2, 6, "vae"], [5, 3, 6, "run"], [6, 0, 7, "images"],
        ],
        top=520,
    )  # fmt: skip
    page.evaluate("() => window.app.queuePrompt(0)")
    wait(page, "document.querySelectorAll('.bakery-compare-cell').length === 12", 5 * TIMEOUT_S)
    wait(page, "[...document.querySelectorAll('.bakery-compare-cell img')].every((image) => image.naturalWidth)")
    settle(page)
    screenshot(page, "compare_node")
    page.locator(".bakery-compare-row", has_text=f"step {2 * every}").locator("button").first.click()
    press(page, "Choose this")
    wait(page, "/Chosen/.test(document.querySelector('.bakery-compare').innerText)")
    page.evaluate("() => window.app.queuePrompt(0)")
    told = f"(window.app.nodeOutputs[{COMPARE}.id]?.text ?? []).join(' ')"
    wait(page, f"{told}.includes('step {2 * every} is the output: chosen on this node')")
