"""What is handed to others: a workflow elsewhere says all it needs at once; files hold nothing personal."""

import asyncio
import json
import shutil
from pathlib import Path

import pytest
from pack.tests.support.paths import POCKET_CHECKPOINT, ROOT
from pack.training.files.lora_file import load_lora
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


def test_share_writes_a_folder_with_what_the_run_knows(comfy, folder):
    prompt = graph()
    prompt["captions"] = node("BakeryCaptions", dataset=["dataset", 0], trigger="mia")
    prompt["preview"]["inputs"] |= {"prompts": "[trigger], red", "strengths": "0.6, 1"}
    prompt["train"]["inputs"]["dataset"] = ["captions", 0]
    prompt["share"] = node("BakeryShareLoRA", run=["train", 3], license="CC0", strength="0.8", include_workflow=False)
    ended = comfy.run_graph(prompt)
    assert ended.status == "success", ended.error
    place = comfy.base / "output" / "share" / NAME
    assert {path.name for path in place.iterdir()} == {
        f"{NAME}.safetensors", f"{NAME}.preview.png", "pictures.png", "README.md"
    }  # fmt: skip
    card = (place / "README.md").read_text(encoding="utf-8")
    for wanted in ("Trigger | `mia`", "`mia, red`, strength 0.6", "`mia, red`, strength 1", "CC0", "0.8"):
        assert wanted in card, card
    told = load_lora(place / f"{NAME}.safetensors").metadata
    assert told["modelspec.trigger_phrase"] == "mia" and "workflow" not in told and "prompt" not in told
    assert [one["strength"] for one in json.loads(told["bakery.samples"])] == [0.6, 1.0]
    shutil.rmtree(place)


def test_a_picked_step_keeps_its_header_through_the_tools(comfy, folder):
    prompt = graph()
    prompt["pick"] = node("BakeryPickStep", run=["train", 3], pick="step", step=1)
    prompt["smaller"] = node("BakeryResizeLoRA", lora=["pick", 0], rank=2)
    prompt["share"] = node("BakeryShareLoRA", run=["train", 3], lora=["smaller", 0], name="smaller")
    ended = comfy.run_graph(prompt)
    assert ended.status == "success", ended.error
    told = load_lora(comfy.base / "output" / "share" / "smaller" / "smaller.safetensors").metadata
    assert (told["ss_steps"], told["ss_network_dim"]) == ("1", "2")
    assert len(json.loads(told["bakery.samples"])) == 1
    shutil.rmtree(comfy.base / "output" / "share")


def test_compare_draws_with_the_trigger_of_the_run(comfy, folder):
    (folder / "one.txt").write_text("a thing in front of a wall", encoding="utf-8")
    prompt = graph()
    prompt["captions"] = node("BakeryCaptions", dataset=["dataset", 0], trigger="mia")
    prompt["train"]["inputs"]["dataset"] = ["captions", 0]
    inputs = {"model": ["checkpoint", 0], "clip": ["checkpoint", 1], "vae": ["checkpoint", 2], "run": ["train", 3]}
    size = {"width": 64, "height": 64, "sampling_steps": 1, "num_steps": 1, "include_base": False}
    prompt["compare"] = node("BakeryCompare", **inputs, **size, prompts="[trigger], sky", negative="no [trigger]")
    ended = comfy.run_graph(prompt)
    assert ended.status == "success", ended.error
    kept = [path.read_text() for path in (comfy.base / "user").rglob("comparisons/*/*.json")]
    assert any("mia, sky" in text for text in kept) and not any("[trigger]" in text for text in kept)
    del prompt["captions"]
    prompt["train"]["inputs"] |= {"dataset": ["dataset", 0], "name": f"{NAME}_plain"}
    error = comfy.run_graph(prompt).error
    shutil.rmtree(comfy.base / "output" / "loras" / f"{NAME}_plain")
    assert "trigger word" in error and "none is set" in error


def test_the_best_of_a_comparison_is_shared_with_its_pictures_and_facts(comfy, folder):
    prompt = graph()
    inputs = {"model": ["checkpoint", 0], "clip": ["checkpoint", 1], "vae": ["checkpoint", 2], "run": ["train", 3]}
    size = {"width": 64, "height": 64, "sampling_steps": 1, "num_steps": 1, "include_base": False}
    prompt["compare"] = node("BakeryCompare", **inputs, **size, prompts="x")
    prompt["share"] = node("BakeryShareLoRA", run=["train", 3], lora=["compare", 1], name=f"{NAME}_best")
    ended = comfy.run_graph(prompt)
    assert ended.status == "success", ended.error
    shared = comfy.base / "output" / "share" / f"{NAME}_best"
    told, card = load_lora(shared / f"{NAME}_best.safetensors").metadata, (shared / "README.md").read_text("utf-8")
    shutil.rmtree(shared)
    assert told["modelspec.trigger_phrase"] == "a thing" and "modelspec.thumbnail" in told and told["ss_steps"] == "2"
    for wanted in ("`a thing`", POCKET_CHECKPOINT.name, "pictures.png", "| steps | 2 |"):
        assert wanted in card, wanted


def test_nothing_to_share_is_refused(comfy, folder):
    error = comfy.run_graph({"share": node("BakeryShareLoRA", name="none")}).error
    assert "connect the run of Train LoRA to run" in error
