"""Every text of a node stands once: help pages follow the schema, and the Chinese texts are complete."""

import json
import subprocess

import pytest
from pack.tests.support.paths import ROOT
from pack.tests.support.spelling import british
from pack.workbench.help_tables import CHINESE, ENGLISH, usual_values, write_tables
from pack.workbench.texts import chinese, english, help_pages, is_chinese, leaves, node_schemas

pytestmark = pytest.mark.comfy


def test_chinese_translates_everything_and_nothing_else(comfy):
    wanted, given = leaves(english(node_schemas())), leaves(chinese())
    assert wanted
    assert sorted(set(wanted) - set(given)) == []
    assert sorted(set(given) - set(wanted)) == []


def test_english_is_american(comfy):
    texts = leaves(english(node_schemas()))
    assert {key: text for key, text in texts.items() if british(text)} == {}


def test_chinese_is_chinese(comfy):
    texts = {
        key: text for key, text in leaves(chinese()).items() if key[-1] in ("tooltip", "description", "display_name")
    }
    assert texts
    assert [key for key, text in texts.items() if not is_chinese(text)] == []


def test_tables_of_the_help_pages_are_up_to_date(comfy):
    stale = [str(path) for path, text in help_pages(node_schemas()) if text != path.read_text(encoding="utf-8")]
    assert stale == [], "run: python dev.py texts"


def test_a_table_follows_the_node_and_keeps_the_usual_values(comfy):
    schema = next(schema for schema in node_schemas() if schema.node_id == "BakerySaveLoRA")
    page = f"before\n{ENGLISH.opening}\n| `dtype` | old words | `bf16` | old |\n<!-- end of inputs -->\nafter"
    written = write_tables(page, schema, ENGLISH)
    assert written.startswith("before") and written.endswith("after")
    tooltip = next(item.tooltip for item in schema.inputs if item.id == "dtype")
    assert f"| `dtype` | {tooltip} | `bf16` | `fp16` |" in written
    assert "old words" not in written
    assert write_tables(written, schema, ENGLISH) == written
    in_chinese = write_tables(page, schema, CHINESE, {"dtype": {"name": "类型", "tooltip": "数值"}})
    assert usual_values(in_chinese)["`dtype`"] == "`bf16`" and "| `dtype` 类型 | 数值 |" in in_chinese


def test_a_page_without_a_place_for_tables_is_refused(comfy):
    schema = node_schemas()[0]
    with pytest.raises(ValueError, match=schema.node_id):
        write_tables("no table", schema, ENGLISH)


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
