"""A plan of stages on a real server: drawn before training, then trained with the images of each stage."""

import io
import json

import pytest
from pack.training.files.lora_file import load_lora
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset
from PIL import Image

pytestmark = pytest.mark.server


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def plan_graph():
    """Two epochs of ten pictures, then two steps of the others under Prodigy."""
    return {
        "all": node("BakeryLoadDataset", folder="plan all"),
        "best": node("BakeryLoadDataset", folder="plan best"),
        "linear": node("BakeryOptimizer", learning_rate=1e-3, schedule="linear"),
        "prodigy": node("BakeryOptimizer", optimizer="Prodigy", learning_rate=1.0),
        "first": node("BakeryStage", optimizer=["linear", 0], steps=0, epochs=0.5, batch_size=4),
        "second": node(
            "BakeryStage", stages=["first", 0], optimizer=["prodigy", 0], dataset=["best", 0], steps=2, batch_size=1
        ),
        "plot": node("BakeryPlotPlan", stages=["second", 0], dataset=["all", 0], width=400, panel_height=128),
    }


@pytest.fixture(scope="module")
def client(comfy_server, pocket_checkpoint):
    write_oc_dataset(comfy_server.input / "plan all" / "2_many", CHARACTERS["zorblax"])
    write_oc_dataset(comfy_server.input / "plan best" / "1_few", CHARACTERS["zorblax"])
    return comfy_server.client()


def test_the_plan_is_drawn_and_told_before_anything_is_trained(client):
    result = client.run(plan_graph())
    assert result.status == "success", result.error
    shown = result.outputs["plot"]
    (picture,) = (Image.open(io.BytesIO(client.view(image))) for image in shown["images"])
    assert picture.size == (400, 2 * 128)
    assert min(high - low for low, high in picture.convert("RGB").getextrema()) > 100
    lines = shown["text"][0].splitlines()
    assert lines[1].startswith("stage 1: steps 1 to ") and "AdamW, linear: U-Net 0.001 to " in lines[1]
    assert "d x learning_rate is known only then" in lines[2]
    first = int(lines[1].split(" to ")[1].split(",")[0])
    assert lines[0] == f"{first + 2} steps in 2 stages"


def test_a_stage_in_epochs_without_images_is_refused_in_one_message(client):
    graph = plan_graph()
    del graph["plot"]["inputs"]["dataset"]
    result = client.run(graph)
    assert result.status == "error"
    assert "a stage counts epochs, so how long it is depends on the images: connect the dataset" in result.error


def test_each_stage_trains_its_images_and_the_file_names_all(client, comfy_server):
    graph = plan_graph() | {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "preview": node("BakeryPreview", prompts="zorblax", width=64, height=64, steps=2, every=0, at_start=False),
        "train": node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2], dataset=["all", 0],
            stages=["second", 0], preview=["preview", 0], name="planned", seed=1, save_every=100,
        ),
    }  # fmt: skip
    result = client.run(graph)
    assert result.status == "success", result.error
    metadata = load_lora(comfy_server.output / "loras" / "planned" / "planned.safetensors").metadata
    folders = json.loads(metadata["ss_dataset_dirs"])
    assert {name: found["n_repeats"] for name, found in folders.items()} == {"many": 2, "few": 1}
    planned = result.outputs["plot"]["text"][0].split()[0]
    assert metadata["ss_steps"] == planned
