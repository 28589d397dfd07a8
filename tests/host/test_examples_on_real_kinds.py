"""Every example runs on an SD1.5 and an SDXL of random weights with nothing changed but checkpoint, folder and name.

Lengths and sizes are cut to what a processor does in seconds. What is asked of the values themselves is asked of the
examples as they are saved.
"""

import json
from itertools import product

import numpy as np
import pytest
from pack.tests.host.test_examples_run import cut_short
from pack.tests.support.cases import case
from pack.tests.support.paths import ROOT
from pack.tests.support.pictures import picture, save
from pack.tests.support.workflow import to_api
from pack.workbench.examples.data import add_example_data
from pack.workbench.examples.examples import EXAMPLES
from pack.workbench.examples.parts import CHECKPOINT, RATE, SAMPLED_PX, SDXL_PX

pytestmark = pytest.mark.comfy
KINDS = ("tiny_sd15", "tiny_sdxl")
NEEDS_A_FILE = {"continue_a_lora": "a LoRA", "extract_from_a_fine_tune": "a second checkpoint"}
"""Examples of files that are not made here; test_examples_run.py runs them."""
QUICK = ("recipe", "train_then_sample", "several_concepts", "resume_and_branch", "bake_into_a_checkpoint", "from_kohya")
EVERY_DAY = {*((name, "tiny_sd15") for name in QUICK), ("bake_into_a_checkpoint", "tiny_sdxl")}
"""One of each way to set up a training; the others, up to half a minute each, run with --full."""


def saved(name: str) -> dict:
    return json.loads((ROOT / "example_workflows" / f"{name}.json").read_text(encoding="utf-8"))


@pytest.fixture
def example_data(comfy):
    add_example_data(comfy.base / "input")
    for number in range(3):
        for folder in ("mira", "mira_masks"):
            shown = picture(number, 80, 96) if folder == "mira" else np.full((96, 80, 3), 255, np.uint8)
            tags = "mira, 1girl, solo, smiling, red coat, street" if folder == "mira" else None
            save(comfy.base / "input" / folder / f"{number}.png", shown, tags)


FOLDERS = {"zorblax": "mira", "zorblax_masks": "mira_masks", "blueprint_style": "mira"}
"""What somebody has instead of the examples' pictures. Further subjects, class images and styles stay as they are."""


def changed(prompt: dict, checkpoint: str) -> dict:
    """The prompt with a checkpoint, a folder and names of one's own."""
    for node in prompt.values():
        inputs = node["inputs"]
        if inputs.get("ckpt_name") == CHECKPOINT:
            inputs["ckpt_name"] = checkpoint
        if node["class_type"] == "BakeryLoadDataset":
            inputs |= {name: FOLDERS.get(inputs[name], inputs[name]) for name in ("folder", "mask_folder")}
        if node["class_type"] in ("BakeryTrain", "BakeryRound") and isinstance(inputs.get("name"), str):
            inputs["name"] = f"mira {inputs['name']}"
    return prompt


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [case(pair, is_everyday=pair in EVERY_DAY) for pair in product(EXAMPLES, KINDS) if pair[0] not in NEEDS_A_FILE],
)
def test_it_runs_on_another_checkpoint(comfy, example_data, request, name, kind):
    path = request.getfixturevalue(kind)
    prompt = changed(cut_short(to_api(saved(name), comfy.object_info())), path.name)
    if name == "sdxl_8gb" and kind == "tiny_sd15":
        pytest.skip("for SDXL alone")
    result = comfy.run_graph(prompt)
    assert result.status == "success", result.error


@pytest.mark.parametrize("name", EXAMPLES)
def test_its_values_suit_a_real_checkpoint(comfy, name):
    """No rate, size or guidance of the pocket model is left."""
    for node in to_api(saved(name), comfy.object_info()).values():
        kind, inputs = node["class_type"], node["inputs"]
        if kind in ("BakeryPreview", "BakeryCompare"):
            assert (inputs["width"], inputs["height"], inputs["cfg"], inputs["sampler"]) == (0, 0, -1.0, "auto")
        if kind == "EmptyLatentImage":
            size = SDXL_PX if name == "sdxl_8gb" else SAMPLED_PX
            assert (inputs["width"], inputs["height"]) == (size, size)
        if kind in ("BakeryOptimizer", "BakeryRound") and not isinstance(inputs["learning_rate"], list):
            assert inputs["learning_rate"] <= 2 * RATE
        if kind == "BakeryTrain" and "stages" not in inputs:
            assert inputs["steps"] >= 200 and inputs["steps"] // inputs["save_every"] <= 4
