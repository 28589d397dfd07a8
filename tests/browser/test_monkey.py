"""Two tabs and a program outside play: whatever they do and in whatever order, all they wrote is where they wrote it.

`LORA_BAKERY_MONKEY_S` is how long they play, in seconds; `LORA_BAKERY_MONKEY_SEED` what they do.
"""

import contextlib
import json
import math
import os
import random
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from pack.tests.browser.monkey import Player
from pack.tests.browser.monkey_model import Picture, World, on_disk
from pack.tests.browser.monkey_run import STEP_OF_LORA, Judge
from pack.tests.browser.page import open_again, settle
from pack.tests.browser.test_compare import KEY, LORAS, PROMPTS
from pack.tests.browser.test_dataset_edits import png
from pack.tests.browser.test_live import RUN, show_saved_run
from pack.tests.support.browser import show_nodes
from pack.training.compare.layout import Cell
from pack.training.compare.store import Comparison, save_comparison
from PIL import Image

pytestmark = pytest.mark.browser

SECONDS = os.environ.get("LORA_BAKERY_MONKEY_S")
SEED = int(os.environ.get("LORA_BAKERY_MONKEY_SEED", "0"))
REFUSED = ("400", "404", "409")
"""What comes too late; the browser notes each such answer."""


@dataclass(frozen=True)
class Files:
    """Two folders of pictures, a run of three steps, a comparison of two of them."""

    folders: tuple[Path, ...]
    pick: Path
    comparison: Path


@pytest.fixture
def files(server, seconds):
    name = f"monkey_{seconds:.0f}"
    folders = tuple(server.input / f"{name}_{part}" for part in "ab")
    for folder in folders:
        folder.mkdir()
        for number in range(6):
            Image.new("RGB", (64, 48), (40 * number, 90, 60)).save(folder / f"{number}.png")
            (folder / f"{number}.txt").write_text(f"fox, {folder.name}, {number}")
    show_saved_run(server, name, steps=3, previews=(0, 1, 2, 3))
    cells = tuple(Cell(lora, prompt, 0, 0) for lora in range(len(LORAS)) for prompt in range(len(PROMPTS)))
    comparison = Comparison(
        loras=LORAS, steps=STEP_OF_LORA, prompts=PROMPTS, strengths=(1.0,), text_strengths=(None,), run=(RUN, name),
        cells=cells, scores=(0.2,) * 6, plain_scores=(0.2,) * 3, others_changed=(None, 0.1, 0.4),
    )  # fmt: skip
    place = server.base / "user" / "lora_bakery" / "comparisons" / KEY
    for file in ("votes.json", "choice.json"):
        (place / file).unlink(missing_ok=True)
    save_comparison(place, comparison, [Image.new("RGB", (64, 64), (80 * cell.lora, 90, 9)) for cell in cells])
    return Files(folders, server.output / "loras" / name / ".run" / RUN / "pick.json", place)


def show(tab, files):
    """A gallery, a run and a comparison side by side."""
    nodes = [
        ["BakeryLoadDataset", [80, 80], {"folder": files.folders[0].name}],
        ["BakeryTrain", [560, -290], {"name": files.pick.parents[2].name}],
        ["BakeryCompare", [1040, 80], {}],
    ]
    show_nodes(tab, nodes)


class Outside:
    """Another program: an editor, a tagger, a file manager."""

    def __init__(self, folders, world, draw):
        self.folders, self.world, self.draw = folders, world, draw

    def write(self):
        folder = self.draw.choice(self.folders)
        stem, picture = self.draw.choice(list(self.world.folders[folder.name].items()))
        picture.caption = self.world.text(self.draw)
        (folder / (".excluded" if picture.is_excluded else "") / f"{stem}.txt").write_text(picture.caption)

    def add(self):
        folder, stem, text = self.draw.choice(self.folders), self.world.new_stem(), self.world.text(self.draw)
        (folder / f"{stem}.txt").write_text(text)
        (folder / f"{stem}.png").write_bytes(png((9, self.world.num_added % 255, 0)))
        self.world.folders[folder.name][stem] = Picture(text)


MOST_ACTS = {10.0: 20}
"""Every day the same acts on fast machines too."""


def play(players, judges, outside, draw, seconds, log):
    """Let them act in turn, as chance will have it."""
    acts = [act for act, count in Player.ACTS.items() for _ in range(count)]
    end = time.monotonic() + seconds
    while time.monotonic() < end and len(log) < MOST_ACTS.get(seconds, math.inf):
        number = draw.randrange(2)
        kind = draw.choices(["edit", "judge", "outside"], [12, 4, 2])[0]
        if kind == "outside":
            who, act = outside, draw.choice([Outside.write, Outside.write, Outside.add])
        elif kind == "judge" and not players[number].is_inside:
            who, act = judges[number], draw.choice(Judge.ACTS)
            who.look()
        else:
            who, act = players[number], draw.choice(acts)
        log.append(f"{number if who is not outside else 'outside'}:{act.__name__}")
        act(who)


@pytest.mark.parametrize("seconds", [10.0, pytest.param(120.0, marks=[pytest.mark.slow, pytest.mark.full])])
def test_whatever_is_done_nothing_is_lost_or_elsewhere(page, browser, server, files, seconds):
    draw, log = random.Random(SEED), []
    world = World({folder.name: on_disk(folder) for folder in files.folders})
    with contextlib.closing(open_again(browser, server).context) as context:
        players = []
        for tab in (page, context.pages[0]):
            show(tab, files)
            players.append(Player(tab, world, draw))
        judges = [Judge(player) for player in players]
        try:
            play(players, judges, Outside(files.folders, world, draw), draw, float(SECONDS or seconds), log)
            for player in players:
                player.check()
        finally:
            print(f"seed {SEED}: {len(log)} acts, the last: {' '.join(log[-12:])}")
        assert context.pages[0].problems == []
    for folder in files.folders:
        assert on_disk(folder) == world.folders[folder.name], log[-12:]
        assert set(world.folders[folder.name]) <= {path.stem for path in folder.rglob("*.png")}
    assert read(files.comparison / "votes.json", []) == world.votes
    assert read(files.comparison / "choice.json", None) == world.choice
    assert read(files.pick, {"step": None})["step"] == world.pick
    settle(page)
    assert [said for said in page.complaints if not any(status in said for status in REFUSED)] == []
    page.complaints.clear()


def read(path, default):
    """What a file holds, or what there is where it is missing."""
    return json.loads(path.read_text()) if path.exists() else default
