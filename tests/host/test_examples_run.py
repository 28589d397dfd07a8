"""Every example runs on the pocket model through a real server, with its steps cut to a few."""

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from pack.tests.support.cases import chosen
from pack.tests.support.client import ComfyClient
from pack.tests.support.paths import ROOT
from pack.tests.support.workflow import NEVER, to_api
from pack.workbench.examples.data import add_example_data
from pack.workbench.examples.examples import SHIPPED
from pack.workbench.examples.results import find_node
from pack.workbench.rounds.loop import ancestors
from PIL import Image
from safetensors.torch import load_file, save_file

pytestmark = pytest.mark.server

FEW = {"steps": 3, "sampling_steps": 2, "save_every": 1, "every": 2, "num_steps": 2, "step": 2, "validate_every": 2}
"""Inputs of our nodes and samplers that decide how long an example runs, and what they are cut to."""
SIZES = {"batch_size": 2, "amount": 3}
DRAWING = ("BakeryPreview", "BakeryCompare", "EmptyLatentImage")
SIDE_PX = 64
"""Of every picture: what follows the model, or is given for real checkpoints, is 512 pixels and more."""
CONFIG_PX = r'("(?:resolution|min_bucket_reso)": )\d+'
"""The size that a dataset config of sd-scripts asks for."""
QUICK = {
    "class_type": "BakeryPreview",
    "inputs": {"prompts": "zorblax", "width": 64, "height": 64, "steps": 2, "every": 0, "at_start": False},
}


@pytest.fixture(scope="module")
def client(comfy_server, pocket_checkpoint) -> ComfyClient:
    add_example_data(comfy_server.input)
    write_tuned(pocket_checkpoint)
    return comfy_server.client()


EVERY_DAY = ("multi_stage", "shrink_a_lora")
"""Not among those that run daily on other models; the others take up to a minute each and run with --full."""


@pytest.mark.parametrize("name", chosen(SHIPPED, EVERY_DAY))
def test_example_runs(client, comfy_server, name):
    workflow = json.loads((ROOT / "example_workflows" / f"{name}.json").read_text(encoding="utf-8"))
    prompt = cut_short(to_api(with_tuned(workflow), client.object_info()))
    result = client.run(prompt, timeout_s=600.0)
    assert result.status == "success", result.error
    shown = [image for output in result.outputs.values() for image in output.get("images", ())]
    for image in shown:
        picture = Image.open(io.BytesIO(client.view(image))).convert("RGB")
        assert min(high - low for low, high in picture.getextrema()) > 0, f"{image['filename']} is one flat color"
    assert shown
    for node in prompt.values():
        if node["class_type"] == "BakeryTrain":
            run = node["inputs"]["name"]
            if isinstance(run, list):  # from Round, whose report begins with it
                run = result.outputs[run[0]]["text"][0].split()[0]
            assert (comfy_server.output / "loras" / run / f"{run}.safetensors").is_file()


@pytest.mark.full
def test_another_checkpoint_draws_once_its_group_is_switched_on(client):
    workflow = json.loads((ROOT / "example_workflows" / "from_one_image.json").read_text(encoding="utf-8"))
    (group,) = workflow["groups"]
    muted = [node for node in workflow["nodes"] if node["mode"] == NEVER]
    assert {node["id"] for node in muted} == {node["id"] for node in workflow["nodes"] if lies_in(group, node)}
    for node in muted:
        node["mode"] = 0
    shown = str(find_node(workflow, "Of the other checkpoint: keep the good ones")["id"])
    result = client.run(ancestors(cut_short(to_api(workflow, client.object_info())), [shown]), timeout_s=600.0)
    assert result.status == "success", result.error
    assert len(result.outputs[shown]["images"]) == SIZES["amount"]


TUNED = "tuned.safetensors"


def write_tuned(checkpoint: Path) -> None:
    """A second checkpoint beside the first, whose U-Net is a little different."""
    weights = load_file(checkpoint)
    for key, weight in weights.items():
        if key.startswith("model.diffusion_model.") and weight.ndim == 2:
            weights[key] = weight * 1.01
    save_file(weights, checkpoint.with_name(TUNED))


def with_tuned(workflow: dict[str, Any]) -> dict[str, Any]:
    """The example with the second checkpoint chosen where it asks for one that was tuned from the first."""
    for node in workflow["nodes"]:
        if node.get("title") == "The fine-tuned checkpoint":
            node["widgets_values"] = [TUNED]
    return workflow


def lies_in(group: dict[str, Any], node: dict[str, Any]) -> bool:
    """Whether the page takes the node as one of the group's: it lies in its frame."""
    left, top, width, height = group["bounding"]
    (x, y), (node_width, node_height) = node["pos"], node["size"]
    return left <= x and top <= y and x + node_width <= left + width and y + node_height <= top + height


def small_configs(inputs: dict[str, Any]) -> dict[str, str]:
    """Its texts, with the sizes in dataset configs cut."""
    texts = {key: text for key, text in inputs.items() if isinstance(text, str)}
    return {key: re.sub(CONFIG_PX, rf"\g<1>{SIDE_PX}", text) for key, text in texts.items()}


def cut_short(prompt: dict[str, Any]) -> dict[str, Any]:
    """The prompt with few steps and small batches.

    Plans that recipes and imports would make are left out, and trainings without a preview get a quick one.
    """
    for node in [*prompt.values()]:
        inputs = node["inputs"]
        for key, value in {**FEW, **SIZES}.items():
            if isinstance(inputs.get(key), int):
                inputs[key] = min(inputs[key], value)
        inputs |= small_configs(inputs)
        if node["class_type"] in DRAWING:
            inputs |= {"width": SIDE_PX, "height": SIDE_PX}
        source = prompt.get(str(inputs.get("stages", [""])[0]), {})
        if node["class_type"] == "BakeryTrain" and source.get("class_type") != "BakeryStage":
            inputs.pop("stages", None)
        if node["class_type"] == "BakeryTrain" and "preview" not in inputs:
            prompt["quick"], inputs["preview"] = QUICK, ["quick", 0]
    return prompt
