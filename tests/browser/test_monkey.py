"""A monkey at the gallery: whatever it does and in whatever order, the folders hold what it typed, where it typed it.

`LORA_BAKERY_MONKEY_S` is how long it plays, in seconds (60), `LORA_BAKERY_MONKEY_SEED` what it does (0).
"""

import copy
import json
import os
import random
import time
from dataclasses import dataclass, field

import pytest
from pack.tests.browser.page import show_nodes, wait
from pack.tests.browser.test_dataset_edits import CHOOSE, drop, png
from pack.training.data.tags import TagEdits, edit_captions
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow]

SECONDS = float(os.environ.get("LORA_BAKERY_MONKEY_S", "60"))
SEED = int(os.environ.get("LORA_BAKERY_MONKEY_SEED", "0"))
FOLDERS = ("monkey_a", "monkey_b")
UNDO = "[...document.querySelectorAll('.bakery-dataset button')].find((each) => each.textContent === 'Undo')"


@dataclass
class Picture:
    caption: str
    is_excluded: bool = False
    mark: str | None = None


@dataclass
class Monkey:
    """Plays on a page and keeps what should be in the folders: pictures by stem, and what undo would bring back."""

    page: object
    draw: random.Random
    folders: dict[str, dict[str, Picture]]
    shown: str = FOLDERS[0]
    steps: list[dict[str, Picture]] = field(default_factory=list)
    count: int = 0
    pending: int = 0
    log: list[str] = field(default_factory=list)

    @property
    def pictures(self):
        return self.folders[self.shown]

    def listen(self):
        def change(by):
            def count(request):
                if "/bakery/dataset" in request.url or "/upload/" in request.url:
                    self.pending += by

            return count

        self.page.on("request", change(1))
        self.page.on("requestfinished", change(-1))
        self.page.on("requestfailed", change(-1))

    def settle(self):
        """Until nothing is asked of the server any more."""
        quiet = 0
        while quiet < 4:
            self.page.wait_for_timeout(60)
            quiet = quiet + 1 if self.pending <= 0 else 0

    def remember(self):
        self.steps.append(copy.deepcopy(self.pictures))

    def text(self):
        self.count += 1
        tags = self.draw.sample(["fox", "cat", "day", "night", "hat"], 2)
        return f"{tags[0]}, {tags[1]}, typed {self.count}"

    def place(self, stem):
        return sorted(self.pictures, key=lambda name: (not name.isdecimal(), name)).index(stem)

    def type(self):
        stem = self.draw.choice(list(self.pictures))
        self.remember()
        self.pictures[stem].caption = self.text()
        row = self.page.locator(".bakery-image textarea").nth(self.place(stem))
        row.fill(self.pictures[stem].caption)
        if self.draw.random() < 0.5:
            row.blur()  # else the next act takes the keyboard

    def leave_out(self):
        stem = self.draw.choice(list(self.pictures))
        self.remember_typed()
        self.remember()
        self.pictures[stem].is_excluded ^= True
        self.page.locator(".bakery-image-actions button").nth(self.place(stem)).click()
        self.settle()

    def mark(self):
        trained = [stem for stem, picture in self.pictures.items() if not picture.is_excluded]
        if not trained:
            return
        stem = self.draw.choice(trained)
        self.remember_typed()
        self.remember()
        wanted = self.draw.choice([m for m in (None, "validation", "regularization") if m != self.pictures[stem].mark])
        self.pictures[stem].mark = wanted
        self.page.locator(".bakery-image select").nth(self.place(stem)).select_option(wanted or "")
        self.settle()

    def rename(self):
        self.remember_typed()
        old, new = self.draw.sample(["fox", "cat", "day", "night", "hat"], 2)
        trained = {stem: p for stem, p in self.pictures.items() if not p.is_excluded}
        before = [picture.caption for picture in trained.values()]
        after = edit_captions(before, TagEdits(replace=((old, new),)))
        button = self.page.locator(f".bakery-tags button[aria-pressed]:text-matches('^{old} \\\\d+$')")
        if before == after or button.count() != 1:
            return
        self.remember()
        for picture, caption in zip(trained.values(), after, strict=True):
            picture.caption = caption
        button.click()
        self.page.locator(".bakery-dataset input[type=text]").fill(new)
        self.page.locator(".bakery-dataset button", has_text="Rename everywhere").click()
        self.settle()
        for chosen in self.page.locator(".bakery-tags button[aria-pressed=true]").all():
            chosen.click()

    def drop_one(self):
        self.remember_typed()
        self.remember()
        stem = f"new{len(self.log):04d}"
        self.pictures[stem] = Picture(self.text())
        caption = self.pictures[stem].caption.encode()
        drop(self.page, [(f"{stem}.png", "image/png", png((self.count % 255, 0, 0))), (f"{stem}.txt", "", caption)])
        self.settle()

    def undo(self):
        self.remember_typed()
        if not self.steps:
            return
        self.folders[self.shown] = self.steps.pop()
        wait(self.page, f"{UNDO}.getAttribute('aria-disabled') === 'false'")
        self.page.evaluate(f"() => {UNDO}.click()")
        self.settle()

    def remember_typed(self):
        """What was typed last is written before something else is done."""
        self.page.evaluate("() => document.activeElement.blur()")
        self.settle()

    def switch_folder(self):
        self.shown = FOLDERS[1 - FOLDERS.index(self.shown)]
        self.steps.clear()
        self.page.evaluate(CHOOSE, self.shown)
        self.arrive()

    def switch_rendering(self):
        self.remember_typed()
        self.page.evaluate("""() => {
            const { setting } = window.app.extensionManager;
            return setting.set("Comfy.VueNodes.Enabled", !setting.get("Comfy.VueNodes.Enabled"));
        }""")
        self.arrive()

    def switch_workflow(self):
        graph = self.page.evaluate("() => window.app.graph.serialize()")
        self.page.evaluate("() => window.app.loadGraphData({ nodes: [], links: [], version: 0.4 })")
        self.page.wait_for_timeout(self.draw.choice([0, 100, 600]))
        self.page.evaluate("graph => window.app.loadGraphData(graph)", graph)
        self.steps.clear()
        self.arrive()

    def copy_node(self):
        self.remember_typed()
        self.page.evaluate("""() => {
            const [node] = window.app.graph._nodes;
            const copy = node.clone();
            copy.pos = [node.pos[0] + 700, node.pos[1]];
            window.app.graph.add(copy);
        }""")
        self.settle()
        self.page.evaluate("() => window.app.graph.remove(window.app.graph._nodes[1])")
        self.settle()

    def arrive(self):
        wait(self.page, f"document.querySelectorAll('.bakery-image').length === {len(self.pictures)}")
        self.settle()

    def play(self, seconds):
        acts = [self.type] * 8 + [self.leave_out, self.mark, self.rename, self.drop_one, self.undo, self.undo]
        acts += [self.switch_folder, self.switch_rendering, self.switch_workflow, self.copy_node]
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            act = self.draw.choice(acts)
            self.log.append(act.__name__)
            act()


def on_disk(folder):
    """Pictures of a folder by stem, and marks, as the files say."""
    marks = json.loads((folder / "marks.json").read_text()) if (folder / "marks.json").exists() else {}
    by_name = {name: mark for mark, names in marks.items() for name in names}
    found = {}
    for place, is_excluded in ((folder, False), (folder / ".excluded", True)):
        for path in place.glob("*.png"):
            caption = path.with_suffix(".txt").read_text()
            found[path.stem] = Picture(caption, is_excluded, by_name.get(path.name))
    return found


def test_whatever_is_done_nothing_is_lost_or_elsewhere(page, server):
    for name in FOLDERS:
        (server.input / name).mkdir()
        for number in range(6):
            Image.new("RGB", (64, 48), (40 * number, 90, 60)).save(server.input / name / f"{number}.png")
            (server.input / name / f"{number}.txt").write_text(f"fox, {name}, {number}")
    folders = {name: on_disk(server.input / name) for name in FOLDERS}
    monkey = Monkey(page, random.Random(SEED), folders)
    monkey.listen()
    show_nodes(page, [["BakeryLoadDataset", [80, 80], {"folder": FOLDERS[0]}]])
    monkey.arrive()
    try:
        monkey.play(SECONDS)
        monkey.remember_typed()
    finally:
        print(f"seed {SEED}: {len(monkey.log)} acts, the last: {' '.join(monkey.log[-12:])}")
    for name in FOLDERS:
        assert on_disk(server.input / name) == monkey.folders[name], monkey.log[-12:]
    assert page.locator(".bakery-conflict button").count() == 0
    page.evaluate("() => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', false)")
    page.wait_for_timeout(300)
