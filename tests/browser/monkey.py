"""A player at a page of its own: types, drops, undoes, goes through folders, workflows, renderings and subgraphs.

It acts by the page alone and keeps the model of `monkey_model` in step, so it knows which of its edits come too late,
and sees to it that the page says so.
"""

import copy
import random
from typing import Any

from pack.tests.browser.monkey_model import WORDS, Edit, Picture, Pictures, World, add, change, renamed
from pack.tests.browser.page import frames, settle, use_rendering, wait
from pack.tests.browser.test_dataset_edits import drop, png
from pack.tests.browser.test_subgraphs import BLUEPRINT, ENTER, FIT, NAME, SET
from pack.tests.support.browser import load_workflow

UNDO = "[...document.querySelectorAll('.bakery-dataset button')].find((each) => each.textContent === 'Undo')"
GALLERY = "window.app.canvas.graph._nodes.find((each) => each.comfyClass === 'BakeryLoadDataset')"
CHOOSE = f"""folder => {{
    const widget = {GALLERY}.widgets.find((each) => each.name === "folder");
    widget.value = folder;
    widget.callback(folder);
}}"""
GRAPH = "() => JSON.parse(JSON.stringify(window.app.rootGraph.serialize()))"  # undefined would come here as null
COPY = f"""() => {{
    const node = {GALLERY};
    const copy = node.clone();
    copy.pos = [node.pos[0], node.pos[1] + 700];
    window.app.canvas.graph.add(copy);
    return copy.id;
}}"""


class Player:
    """One tab.

    Args:
        page: with a gallery of the first folder as its only one.
        world: what is true of the files.
        draw: what it does.
    """

    def __init__(self, page: Any, world: World, draw: random.Random) -> None:
        self.page, self.world, self.draw = page, world, draw
        self.folder = next(iter(world.folders))
        self.plain = page.evaluate(GRAPH)
        self.is_inside = self.is_new = False
        self.num_loads = 0
        """Workflows that were opened."""
        self.typing: tuple[str, str, Picture] | None = None
        """Stem, text and what it is based on."""
        self.steps: list[list[Edit]] = []
        self.arrive()

    @property
    def pictures(self) -> Pictures:
        return self.world.folders[self.folder]

    def arrive(self) -> None:
        """Another gallery has come: what it shows was read just now, and there is no way back."""
        wait(self.page, f"{NAME}.endsWith('input/{self.folder}')")
        wait(self.page, f"document.querySelectorAll('.bakery-image').length === {len(self.pictures)}")
        settle(self.page)
        self.known, self.steps = self.world.look(self.folder), []

    def look(self) -> None:
        """Read the folder again."""
        self.commit()
        self.page.evaluate(f"() => {GALLERY}.onExecuted({{}})")
        settle(self.page)
        self.known = self.world.look(self.folder)

    def stems(self, *, is_trained: bool = False) -> list[str]:
        """Of pictures that the page shows under the names they have; looks again where there are others."""
        names = {stem: picture.is_excluded for stem, picture in self.pictures.items()}
        if names != {stem: picture.is_excluded for stem, picture in self.known.items()}:
            self.look()
        return [stem for stem, picture in self.known.items() if not (is_trained and picture.is_excluded)]

    def label(self, stem: str, of: Picture) -> str:
        """How the page names the caption of a picture."""
        return f"Caption of {'.excluded/' if of.is_excluded else ''}{stem}.png"

    def row(self, stem: str, of: Picture) -> Any:
        """The row of a picture."""
        field = self.page.get_by_label(self.label(stem, of), exact=True)
        return self.page.locator(".bakery-image").filter(has=field)

    # What is typed.

    def type(self) -> None:
        """Type over a caption; half the time the field keeps the keyboard."""
        self.commit()
        stem = self.draw.choice(self.stems())
        text, based_on = self.world.text(self.draw), copy.copy(self.known[stem])
        self.row(stem, based_on).locator("textarea").fill(text)
        self.typing = (stem, text, based_on)
        if self.draw.random() < 0.5:
            self.commit()

    @property
    def is_late(self) -> bool:
        """Another one has written meanwhile what is being typed over, or moved the picture."""
        stem, _, based_on = self.typing
        now = self.pictures.get(stem)
        return now is None or (now.caption, now.is_excluded) != (based_on.caption, based_on.is_excluded)

    def commit(self) -> None:
        """Leave the field; of what comes too late the page shows both, and one is chosen."""
        if self.typing is None:
            return
        (stem, text, _), is_late = self.typing, self.is_late
        self.page.evaluate("() => document.activeElement.blur()")
        settle(self.page)
        if stem not in self.pictures:
            self.typing = None  # the other tab has taken back that it was added
            self.look()
        elif is_late:
            self.resolve(stem, text)
        else:
            self.wrote(stem, text)

    def wrote(self, stem: str, text: str) -> None:
        """It is written, and can be taken back."""
        self.typing = None
        self.steps.append([change(self.pictures, "caption", {stem: text})])
        self.known[stem] = copy.copy(self.pictures[stem])

    def resolve(self, stem: str, text: str) -> None:
        """The page shows what is typed and what was written meanwhile; keep one."""
        now, self.typing = self.pictures[stem], None
        row = self.row(stem, now)
        row.locator(".bakery-theirs").wait_for()
        assert row.locator(".bakery-theirs").inner_text() == now.caption
        assert row.locator("textarea").input_value() == text
        self.known = {**self.known, stem: copy.copy(now)}
        if self.draw.random() < 0.5:
            row.get_by_role("button", name="Keep mine").click()
            settle(self.page)
            self.wrote(stem, text)
        else:
            row.get_by_role("button", name="Use the other").click()
        self.page.evaluate("() => document.activeElement.blur()")

    def leave_typed(self) -> None:
        """What is typed may be written by whatever comes next, if it is not late."""
        if self.typing and not self.is_late and self.draw.random() < 0.5:
            self.wrote(*self.typing[:2])
        else:
            self.commit()

    # Other edits.

    def leave_out(self) -> None:
        """Leave a picture out of training, or take it in again."""
        self.commit()
        stem = self.draw.choice(self.stems())
        self.row(stem, self.known[stem]).locator(".bakery-image-actions button").click()
        settle(self.page)
        edit = change(self.pictures, "is_excluded", {stem: not self.known[stem].is_excluded})
        self.steps.append([edit])
        self.known[stem] = copy.copy(self.pictures[stem])

    def mark(self) -> None:
        """Mark a picture; what another tab has marked meanwhile stays."""
        self.commit()
        stems = self.stems(is_trained=True)
        if not stems:
            return
        stem = self.draw.choice(stems)
        known, now = self.known[stem].mark, self.pictures[stem].mark
        wanted = self.draw.choice([m for m in (None, "validation", "regularization") if m != known])
        self.row(stem, self.known[stem]).locator("select").select_option(wanted or "")
        settle(self.page)
        if known == now:
            self.steps.append([change(self.pictures, "mark", {stem: wanted})])
        self.known[stem] = copy.copy(self.pictures[stem])  # else it came too late: nothing is written

    def rename(self) -> None:
        """Rename a tag everywhere."""
        self.look()
        old, new = self.draw.sample(WORDS, 2)
        after = renamed(self.pictures, old, new)
        button = self.page.locator(f".bakery-tags button[aria-pressed]:text-matches('^{old} \\\\d+$')")
        if not after or button.count() != 1:
            return
        button.click()
        self.page.locator(".bakery-dataset input[type=text]").fill(new)
        self.page.locator(".bakery-dataset button", has_text="Rename everywhere").click()
        settle(self.page)
        self.steps.append([change(self.pictures, "caption", after)])
        self.known = self.world.look(self.folder)
        for chosen in self.page.locator(".bakery-tags button[aria-pressed=true]").all():
            chosen.click()

    def drop(self) -> None:
        """Drop a picture with its caption."""
        self.commit()
        stem, text = self.world.new_stem(), self.world.text(self.draw)
        picture = png((self.world.num_added % 255, 0, 0))
        drop(self.page, [(f"{stem}.png", "image/png", picture), (f"{stem}.txt", "", text.encode())])
        settle(self.page)
        self.steps.append(add(self.pictures, stem, text))
        self.known = self.world.look(self.folder)

    def undo(self) -> None:
        """Take the last step back."""
        self.commit()
        if not self.steps:
            return
        wait(self.page, f"{UNDO}.getAttribute('aria-disabled') === 'false'")
        self.page.evaluate(f"() => {UNDO}.click()")
        settle(self.page)
        step = self.steps[-1]
        while step:
            outcome = step[0].take_back(self.pictures)
            if outcome != "late":
                step.pop(0)
            if outcome != "done":
                break
        if not step:
            self.steps.pop()
        self.look()

    # Where it is.

    def switch_folder(self) -> None:
        """Choose the other folder."""
        self.leave_typed()
        self.folder = self.draw.choice([name for name in self.world.folders if name != self.folder])
        if self.is_inside:
            self.page.evaluate(SET, ["folder", self.folder])
        else:
            self.page.evaluate(CHOOSE, self.folder)
        self.arrive()

    def switch_rendering(self) -> None:
        """Draw nodes the other way."""
        self.commit()
        self.is_new = not self.is_new
        use_rendering(self.page, self.is_new)
        settle(self.page)
        self.look()

    def switch_workflow(self) -> None:
        """Open an empty workflow, then the first one again."""
        self.leave_typed()
        graph = self.page.evaluate(GRAPH)
        load_workflow(self.page, {"nodes": [], "links": [], "version": 0.4})
        frames(self.page, self.draw.choice([0, 1, 30]))
        load_workflow(self.page, graph)
        settle(self.page)
        if not self.page.evaluate("() => window.app.rootGraph._nodes.length"):
            load_workflow(self.page, graph)  # the page went back to the empty one, whose address it followed late
        self.num_loads += 1
        if self.is_inside:
            self.enter()
        self.arrive()

    def go_through_a_subgraph(self) -> None:
        """Open the workflow whose gallery is in a subgraph, or the one where it is in none."""
        self.leave_typed()
        self.is_inside = not self.is_inside
        self.num_loads += 1
        if self.is_inside:
            load_workflow(self.page, BLUEPRINT)
            self.page.evaluate(SET, ["folder", self.folder])
            self.enter()
        else:
            load_workflow(self.page, self.plain)
            self.page.evaluate(CHOOSE, self.folder)
        self.arrive()

    def enter(self) -> None:
        """Go into the subgraph."""
        self.page.evaluate(ENTER)
        self.page.evaluate(FIT, "BakeryLoadDataset")

    def copy_node(self) -> None:
        """Copy the node of the gallery, and delete the copy."""
        self.commit()
        copied = self.page.evaluate(COPY)
        settle(self.page)
        self.page.evaluate("id => window.app.canvas.graph.remove(window.app.canvas.graph.getNodeById(id))", copied)
        self.look()

    def check(self) -> None:
        """The page shows what the files say."""
        self.look()
        shown = self.page.locator(".bakery-image textarea").evaluate_all(
            "all => all.map((each) => [each.getAttribute('aria-label'), each.value])"
        )
        assert dict(shown) == {self.label(stem, picture): picture.caption for stem, picture in self.pictures.items()}
        assert self.page.locator(".bakery-conflict button").count() == 0

    ACTS = {
        type: 8, undo: 3, leave_out: 1, mark: 1, rename: 1, drop: 1, look: 1, switch_folder: 1, switch_rendering: 1,
        switch_workflow: 1, go_through_a_subgraph: 1, copy_node: 1,
    }  # fmt: skip
    """How often each is done, beside the others."""
