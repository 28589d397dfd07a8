"""What is handed to others: a workflow elsewhere says all it needs at once; files hold nothing personal."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from pack.tests.support.paths import POCKET_CHECKPOINT, ROOT
from PIL import Image

pytestmark = pytest.mark.comfy

NAME = "sharing_test"


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def graph(**changes):
    values = {"ckpt_name": POCKET_CHECKPOINT.name, "folder": NAME, "mask_folder": "", **changes}
    graph = {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=values["ckpt_name"]),
        "dataset": node("BakeryLoadDataset", folder=values["folder"], mask_folder=values["mask_folder"]),
        "preview": node("BakeryPreview", prompts="x", width=64, height=64, steps=1, every=1),
        "train": node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2], name=NAME, steps=2,
            dataset=["dataset", 0], preview=["preview", 0],
        ),
    }  # fmt: skip
    if "lora_name" in values:
        graph["lora"] = node("BakeryLoadLoRA", lora_name=values["lora_name"])
        graph["train"]["inputs"]["lora"] = ["lora", 0]
    return graph


@pytest.fixture
def folder(comfy, pocket_checkpoint):
    folder, root = comfy.base / "input" / NAME, comfy.base / "output" / "loras" / NAME
    folder.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), (40, 80, 120)).save(folder / "one.png")
    (folder / "one.txt").write_text("a thing", encoding="utf-8")
    comfy.object_info()
    yield folder
    shutil.rmtree(folder)
    shutil.rmtree(root, ignore_errors=True)


def test_all_that_is_missing_is_said_at_once(comfy, folder):
    prompt = graph(ckpt_name="not_here.safetensors", folder="not_here", lora_name="gone.safetensors")
    is_valid, error, _, node_errors = asyncio.run(comfy.module("execution").validate_prompt("moved", prompt, None))
    assert not is_valid
    assert error
    said = {key: json.dumps(entry["errors"]) for key, entry in node_errors.items()}
    assert "not_here.safetensors" in said["checkpoint"]
    assert "There is no folder 'not_here' in ComfyUI's input folder" in said["dataset"]
    assert "gone.safetensors" in said["lora"]


def test_a_missing_folder_is_said_once(comfy, folder):
    result = asyncio.run(comfy.module("execution").validate_prompt("moved", graph(folder="not_here"), None))
    assert json.dumps(result[3]).count("There is no folder") == 1


def test_a_missing_folder_of_masks_is_said_before_anything_is_trained(comfy, folder):
    assert "there is no mask folder 'no_masks'; create it" in comfy.run_graph(graph(mask_folder="no_masks")).error
    assert not (comfy.base / "output" / "loras" / NAME).exists()


def test_files_of_a_run_hold_no_path_of_this_machine(comfy, folder):
    assert comfy.run_graph(graph()).status == "success"
    root = comfy.base / "output" / "loras" / NAME
    files = [path for path in root.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".safetensors", ".json", ".jsonl", ".state"}
    personal = [str(comfy.base), str(Path.home()) + "/", str(ROOT)]
    found = [(path.name, text) for path in files for text in personal if text.encode() in path.read_bytes()]
    assert found == []
