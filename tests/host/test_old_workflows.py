"""Workflows that 0.1.0 saved mean the same today: every value lands in its input, and they run."""

import asyncio

import pytest
from pack.tests.host.test_examples_run import SIDE_PX, cut_short, with_tuned, write_tuned
from pack.tests.support.cases import chosen
from pack.tests.support.old_workflows import DAYS, old_nodes, old_workflows
from pack.tests.support.workflow import to_api
from pack.workbench.examples.data import add_example_data

pytestmark = pytest.mark.comfy
OLD = old_workflows()
FOLLOWS_THE_MODEL = {"width": 0, "height": 0, "cfg": -1.0, "sampler": "auto"}
"""New defaults of LoRA Preview and Compare LoRAs, named in the changelog."""
FILES_NOT_MADE_HERE = {("BakeryLoadLoRA", "lora_name"), ("CheckpointLoaderSimple", "ckpt_name")}
RUN_EVERY_DAY = ("first/train_then_sample",)


def inputs_of(node):
    """Name -> (type, options) of a description in /object_info, in the order of the node's widgets."""
    both = {**node["input"].get("required", {}), **node["input"].get("optional", {})}
    return {name: (spec[0], spec[1] if len(spec) > 1 else {}) for name, spec in both.items()}


@pytest.fixture(scope="module")
def object_info(comfy):
    return comfy.object_info()


@pytest.mark.parametrize("day", DAYS)
def test_every_node_has_its_inputs_in_their_order(object_info, day):
    """Saved workflows hold values by position, prompts by name: new inputs may only be added behind the old ones."""
    for node_id, old in old_nodes(day).items():
        now = inputs_of(object_info[node_id])
        assert list(now)[: len(old["inputs"])] == list(old["inputs"]), node_id
        assert list(object_info[node_id]["output"])[: len(old["outputs"])] == old["outputs"], node_id
        for name, was in old["inputs"].items():
            kind, options = now[name]
            choices = kind if isinstance(kind, list) else options.get("options", [])
            assert ("COMBO" if isinstance(kind, list) else kind) == was["type"], (node_id, name)
            assert set(was.get("options", ())) <= set(choices), (node_id, name)
            if "min" in was:
                assert options["min"] <= was["min"] and options["max"] >= was["max"], (node_id, name)


def test_a_prompt_that_leaves_an_input_out_gets_the_default_of_then(object_info):
    for node_id, old in old_nodes("released").items():
        now = inputs_of(object_info[node_id])
        for name, was in old["inputs"].items():
            if "default" not in was or (node_id, name) == ("BakeryLoadDataset", "folder"):
                continue
            is_changed = node_id in ("BakeryPreview", "BakeryCompare") and name in FOLLOWS_THE_MODEL
            assert now[name][1]["default"] == (FOLLOWS_THE_MODEL[name] if is_changed else was["default"]), name


@pytest.mark.parametrize("name", OLD)
def test_every_value_lands_in_its_input(object_info, name):
    workflow, queued = OLD[name]
    today = to_api(workflow, object_info)
    assert today.keys() == queued.keys()
    for node_id, then in queued.items():
        now = today[node_id]["inputs"]
        assert {key: now.get(key) for key in then["inputs"]} == then["inputs"], then["class_type"]
        added = {key: value for key, value in now.items() if key not in then["inputs"]}
        described = inputs_of(object_info[then["class_type"]])
        options = {key: described[key][1] for key in added}
        wanted = {key: of.get("earlier_default", of.get("default")) for key, of in options.items()}
        assert added == wanted, then["class_type"]


@pytest.mark.parametrize("name", OLD)
def test_comfyui_accepts_it_as_saved_and_as_exported(comfy, object_info, example_data, name):
    execution = comfy.module("execution")
    for prompt in (OLD[name].queued, to_api(OLD[name].workflow, object_info)):
        _, _, _, errors = asyncio.run(execution.validate_prompt("old", prompt, None))
        found = {
            (node["class_type"], (error.get("extra_info") or {}).get("input_name"))
            for node in errors.values()
            for error in node["errors"]
        }
        assert found <= FILES_NOT_MADE_HERE


@pytest.fixture(scope="module")
def example_data(comfy, pocket_checkpoint):
    add_example_data(comfy.base / "input")
    write_tuned(pocket_checkpoint)


@pytest.mark.slow
@pytest.mark.parametrize("name", chosen([name for name in OLD if "continue_a_lora" not in name], RUN_EVERY_DAY))
def test_it_runs_as_exported(comfy, object_info, example_data, name):
    workflow, queued = OLD[name]
    prompt = cut_short(to_api(with_tuned(workflow), object_info) if "extract" in name else queued)
    for node in prompt.values():
        if isinstance(node["inputs"].get("resolution"), int):
            node["inputs"]["resolution"] = min(node["inputs"]["resolution"], SIDE_PX)
    result = comfy.run_graph(prompt)
    assert result.status == "success", result.error
