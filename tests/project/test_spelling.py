"""Code, comments, messages and pages are in American English."""

import re

import pytest
from pack.tests.support.paths import ROOT
from pack.tests.support.spelling import british

ROOMS = ("training", "nodes", "js", "workbench", "tests", "docs")
SELF = {"tests/support/spelling.py", "tests/project/test_spelling.py"}
FILES = {
    path.relative_to(ROOT).as_posix(): path
    for path in [*ROOT.glob("*"), *(path for room in ROOMS for path in (ROOT / room).rglob("*"))]
    if path.suffix in (".py", ".js", ".md") and "zh" not in re.split(r"[./]", path.relative_to(ROOT).as_posix())
}


def test_every_file_is_in_american_english():
    assert len(FILES) > 500
    found = {name: british(path.read_text(encoding="utf-8")) for name, path in FILES.items() if name not in SELF}
    assert {name: words for name, words in found.items() if words} == {}


@pytest.mark.parametrize(
    "text",
    [
        "begins anew", "the Colours of it", "off_colour", "isCancelled", "def test_a_grey_one", "MODELLING",
        "initialise", "the centre", "recognising it", "labelled", "analysed",
    ],
)  # fmt: skip
def test_british_words_are_seen_in_prose_and_in_names(text):
    assert british(text)


@pytest.mark.parametrize("text", ["a new one", "colors", "four", "noise", "raises", "precise", "optimistic"])
def test_other_words_are_left_alone(text):
    assert british(text) == []


def test_names_that_users_saved_keep_their_spelling():
    assert british("character C: very elaborate, or with wings, armour or a tail") == []
    assert british("armour") == ["armour"]
