"""Names and tooltips of all nodes are there in English and Chinese, and nothing is left over."""

import json
from pathlib import Path

import pytest
from pack.tests.host.translations import english, is_chinese, leaves

ROOT = Path(__file__).resolve().parents[1]
pytestmark = pytest.mark.comfy


def read(language: str) -> dict[tuple[str, ...], str]:
    path = ROOT / "locales" / language / "nodeDefs.json"
    return leaves(json.loads(path.read_text(encoding="utf-8")))


def test_english_says_what_the_nodes_say(comfy):
    wanted = leaves(english())
    assert wanted
    assert read("en") == wanted, "run: python tests/host/alias.py pack.tests.host.translations"


def test_chinese_translates_everything_and_nothing_else(comfy):
    wanted, given = leaves(english()), read("zh")
    assert sorted(set(wanted) - set(given)) == []
    assert sorted(set(given) - set(wanted)) == []


def test_chinese_is_chinese(comfy):
    texts = {key: text for key, text in read("zh").items() if key[-1] in ("tooltip", "description", "display_name")}
    assert texts
    assert [key for key, text in texts.items() if not is_chinese(text)] == []
