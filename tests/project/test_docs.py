"""The map of the code names every room and no file that is gone; decisions keep to their form; links lead somewhere."""

import re

import pytest
from pack.tests.support.paths import ROOT
from pack.workbench.file_list import PAGE, list_of_files

MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
DECISIONS = (ROOT / "docs" / "decisions.md").read_text(encoding="utf-8")
PATH = re.compile(r"`((?:docs|js|locales|nodes|tests|training|workbench)/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)")
PAGES = sorted([*ROOT.glob("*.md"), *(page for room in ("docs", "workbench") for page in (ROOT / room).rglob("*.md"))])
ROOMS = sorted(
    path.name for layer in ("training", "nodes", "js") for path in (ROOT / layer).iterdir()
    if path.is_dir() and path.name != "__pycache__"
)  # fmt: skip


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_lead_to_files(page):
    text = page.read_text(encoding="utf-8")
    assert [link for link in LINK.findall(text) if not (page.parent / link).exists()] == []


@pytest.mark.parametrize(
    "name", ["docs/architecture.md", "docs/decisions.md", "docs/features.md", "docs/reliability.md", "CONTRIBUTING.md"]
)
def test_paths_in_texts_exist(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert [path for path in PATH.findall(text) if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("room", ROOMS)
def test_the_map_names_every_room(room):
    tree = MAP.split("## The tree")[1].split("## ")[0]
    assert re.search(rf"(?<!\w){room}/", tree)


def test_every_file_in_the_tree_exists():
    """Those below training/; a name stands in the block of its room."""
    tree = MAP.split("## The tree")[1].split("nodes/  ")[0]
    room, missing, found = ROOT / "training", [], 0
    for line in tree[tree.index("\ntraining/") :].splitlines():
        if match := re.match(r"  (\w+)/", line):
            room = ROOT / "training" / match[1]
        for name in re.findall(r"\b[\w]+\.py\b", line):
            found += 1
            missing += (
                [] if (room / name).is_file() or (ROOT / "training" / name).is_file() else [f"{room.name}/{name}"]
            )
    assert missing == [] and found > 30


def test_the_list_of_files_is_fresh():
    """Every file says in its first sentence what it holds; `python dev.py texts` writes the list."""
    assert PAGE.read_text(encoding="utf-8") == list_of_files()
    assert "|  |" not in PAGE.read_text(encoding="utf-8")


def test_decisions_are_few_short_dated_and_name_their_command():
    records = re.split(r"^## ", DECISIONS, flags=re.M)[1:]
    assert 0 < len(records) <= 30
    for record in records:
        title, *lines = record.strip().splitlines()
        assert re.match(r"\d{4}-\d\d-\d\d · \S", title), title
        body = [line for line in lines if line]
        assert len(body) <= 6, title
        for part in ("Context.", "Decision.", "Consequence.", "Command."):
            assert f"**{part}**" in record, f"{title}: {part}"
    dates = re.findall(r"^## (\S+)", DECISIONS, flags=re.M)
    assert dates == sorted(dates, reverse=True)


def test_tests_named_by_decisions_exist():
    named = re.findall(r"\btests/[\w/]+\.py\b|\btests(?:/\w+)+(?=[ `])", DECISIONS)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
