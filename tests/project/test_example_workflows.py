"""Every example opens on any machine: known nodes, values that fit, no paths of one machine, accepted by the host."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pack.tests.support.paths import ROOT
from pack.tests.support.workflow import PAGE_ONLY_TYPES, misfit, to_api

EXAMPLES = sorted((ROOT / "example_workflows").glob("*.json"))
FILE_INPUTS = {"ckpt_name", "lora_name", "image", "folder"}
"""Inputs that name a file the user chooses; another machine may lack the one in the example."""
each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def test_there_are_examples():
    assert "train_then_sample" in {path.stem for path in EXAMPLES}


@each_example
def test_no_path_of_one_machine(path):
    text = path.read_text(encoding="utf-8")
    assert re.findall(r'"(?:/|~|[A-Za-z]:\\\\)[^"]*"', text) == []


@each_example
def test_a_note_says_which_word_of_the_prompts_is_the_examples_own(path):
    nodes = read(path)["nodes"]
    kinds = ("CLIPTextEncode", "BakeryPreview", "BakeryCompare", "StringConcatenate", "BakeryObjective")
    written = [node for node in nodes if node["type"] in kinds]
    notes = "".join(node["widgets_values"][0] for node in nodes if node["type"] == "MarkdownNote")
    for word in ("zorblax", "quindle", "fennarock"):
        if any(word in str(node["widgets_values"]) for node in written) and not path.stem.startswith("small_model"):
            english, chinese = notes.split("\n## ")[0], notes
            assert path.stem == "several_concepts", f"{word}: the prompts take the word from the captions"
            assert f"`{word}`" in english and chinese.count(f"`{word}`") >= 2, word


@pytest.fixture(scope="module")
def object_info(comfy) -> dict[str, Any]:
    return comfy.object_info()


@pytest.mark.comfy
def test_no_seed_changes_by_itself(object_info):
    """ComfyUI draws another seed at every queue unless told otherwise: all previews would be drawn again, not alike."""
    seeds = {
        name: inputs["seed"][1].get("control_after_generate")
        for name, node in object_info.items()
        if name.startswith("Bakery")
        for inputs in node["input"].values()
        if "seed" in inputs
    }
    assert "BakeryPreview" in seeds
    assert set(seeds.values()) == {"fixed"}, seeds


@pytest.mark.comfy
@each_example
def test_nodes_exist_and_values_fit(object_info, path):
    problems = []
    for node in read(path)["nodes"]:
        if node["type"] in PAGE_ONLY_TYPES:
            continue
        problem = misfit(node, object_info[node["type"]]) if node["type"] in object_info else "no such node"
        problems += [f"{node['id']} {node['type']}: {problem}"] if problem else []
    assert problems == []


@pytest.mark.comfy
@each_example
def test_comfyui_accepts_it(comfy, object_info, path):
    prompt = to_api(read(path), object_info)
    execution = comfy.module("execution")
    _, _, _, errors = asyncio.run(execution.validate_prompt("example", prompt, None))
    found = [
        f"{error['type']} {error['details']}"
        for node in errors.values()
        for error in node["errors"]
        if (error.get("extra_info") or {}).get("input_name") not in FILE_INPUTS
    ]
    assert found == []
