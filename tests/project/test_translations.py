"""Names and tooltips of all nodes are there in English and Chinese, and nothing is left over."""

import json
import subprocess

import pytest
from pack.tests.support.paths import ROOT
from pack.workbench.translations import english, is_chinese, leaves

pytestmark = pytest.mark.comfy


def read(language: str) -> dict[tuple[str, ...], str]:
    path = ROOT / "locales" / language / "nodeDefs.json"
    return leaves(json.loads(path.read_text(encoding="utf-8")))


def test_english_says_what_the_nodes_say(comfy):
    wanted = leaves(english())
    assert wanted
    assert read("en") == wanted, "run: python tests/support/alias.py pack.workbench.translations"


def test_chinese_translates_everything_and_nothing_else(comfy):
    wanted, given = leaves(english()), read("zh")
    assert sorted(set(wanted) - set(given)) == []
    assert sorted(set(given) - set(wanted)) == []


def test_chinese_is_chinese(comfy):
    texts = {key: text for key, text in read("zh").items() if key[-1] in ("tooltip", "description", "display_name")}
    assert texts
    assert [key for key, text in texts.items() if not is_chinese(text)] == []


NAMES_KEPT = {
    "algorithm", "dtype", "family", "folder", "lora_name", "loss_type", "optimizer", "preset", "sampler", "save_dtype",
    "scheduler",
}  # fmt: skip
"""Inputs whose choices are names, the same in every language."""


def test_every_choice_that_is_a_word_has_a_chinese_name(comfy):
    """The page takes them from js/shared/option_names.js, since ComfyUI translates no choices."""
    from comfy_api.latest import io
    from pack.nodes import load_nodes

    module = json.dumps((ROOT / "js" / "shared" / "option_names.js").as_uri())
    script = f"import({module}).then((names) => console.log(JSON.stringify(names.CHINESE)))"
    named = json.loads(subprocess.run(["node", "-e", script], check=True, capture_output=True, text=True).stdout)
    combos = [item for node in load_nodes() for item in node.GET_SCHEMA().inputs if isinstance(item, io.Combo.Input)]
    choices = {name: {str(o) for item in combos if item.id == name for o in item.options} for name in named}
    assert {item.id for item in combos} - set(named) - NAMES_KEPT == set()
    assert {name: set(named[name]) - choices[name] for name in named if set(named[name]) - choices[name]} == {}
    lacking = {name: choices[name] - set(named[name]) for name in named if name not in NAMES_KEPT}
    assert {name: values for name, values in lacking.items() if values} == {}
