"""Queued again and again, a graph trains round after round, each from the weights of the one before."""

import json
import shutil

import pytest
import torch
from pack.tests.support.paths import POCKET_CHECKPOINT
from pack.training.files.lora_file import load_lora
from PIL import Image

pytestmark = pytest.mark.comfy

NAME = "round_test"


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def graph(rate=1e-3, factor=1.0):
    quick = {"prompts": "zorblax", "width": 64, "height": 64, "steps": 1}
    base = {"model": ["checkpoint", 0], "clip": ["checkpoint", 1], "vae": ["checkpoint", 2]}
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=POCKET_CHECKPOINT.name),
        "dataset": node("BakeryLoadDataset", folder=NAME),
        "round": node("BakeryRound", dataset=["dataset", 0], name=NAME, learning_rate=rate, rate_factor=factor),
        "optimizer": node("BakeryOptimizer", learning_rate=["round", 4]),
        "preview": node("BakeryPreview", every=0, at_start=False, **quick),
        "train": node(
            "BakeryTrain", **base, dataset=["dataset", 0], name=["round", 0], lora=["round", 1], steps=2,
            optimizer=["optimizer", 0], preview=["preview", 0],
        ),
        "compare": node(
            "BakeryCompare", **base, run=["train", 3], is_by_round=True, prompts="zorblax", width=64, height=64,
            sampling_steps=1, references=["reference", 0],
        ),
        "reference": node("LoadImage", image=f"{NAME}/first.png"),
        "show": node("PreviewImage", images=["compare", 0]),
    }  # fmt: skip


@pytest.fixture
def folder(comfy, pocket_checkpoint):
    folder, loras = comfy.base / "input" / NAME, comfy.base / "output" / "loras"
    folder.mkdir(parents=True)
    add(folder, "first", 40)
    yield folder
    shutil.rmtree(folder)
    for root in loras.glob(f"{NAME}*"):
        shutil.rmtree(root)


def add(folder, name, gray):
    Image.new("RGB", (64, 64), (gray, 2 * gray, 120)).save(folder / f"{name}.png")
    (folder / f"{name}.txt").write_text("zorblax", encoding="utf-8")


def lora(comfy, number):
    name = f"{NAME}_round_{number}"
    return load_lora(comfy.base / "output" / "loras" / name / f"{name}.safetensors")


def run(comfy, prompt):
    result = comfy.run_graph(prompt)
    assert result.status == "success", result.error
    return result


def scored(outputs):
    """What Compare LoRAs scored, each once: with the trigger word and without it."""
    lines = outputs["compare"]["text"][0].splitlines()
    return list(dict.fromkeys(line.partition(":")[0] for line in lines if ": likeness" in line))


def test_rounds_follow_each_other(comfy, folder):
    assert run(comfy, graph()).outputs["round"]["text"] == [f"{NAME}_round_1 starts from scratch.\nround 1: 1 image"]
    again = run(comfy, graph())
    assert "already trained" in again.outputs["train"]["text"][0], "the same dataset is the same round"
    add(folder, "kept", 100)
    # A factor of nearly nothing: round 2 has to be what round 1 was, but for its rounding to 16 bit.
    second = run(comfy, graph(factor=1e-5))
    wanted = f"{NAME}_round_2 starts from {NAME}_round_1.\nround 1: 1 image\nround 2: 2 images"
    assert second.outputs["round"]["text"] == [wanted]
    first, last = lora(comfy, 1).tensors, lora(comfy, 2).tensors
    rates = [json.loads(lora(comfy, number).metadata["ss_learning_rate"]) for number in (1, 2)]
    assert rates == pytest.approx([1e-3, 1e-8])
    ups = [key for key in first if "lora_up" in key]
    assert max(float(first[key].abs().max()) for key in ups) > 1e-3
    assert first.keys() == last.keys()
    for key, tensor in first.items():
        torch.testing.assert_close(last[key], tensor, rtol=0, atol=1e-4)
    assert scored(second.outputs) == ["no LoRA", "round 1", "round 2"]
    note = json.loads((comfy.base / "output" / "loras" / f"{NAME}_round_2" / "round.json").read_text(encoding="utf-8"))
    assert note["num_images"] == 2


@pytest.mark.full
def test_round_pick_and_compare_find_all_after_notes_were_lost_and_folders_renamed(comfy, folder):
    """`.run` of the first round deleted, the second one's marker damaged, then both folders renamed."""
    loras = comfy.base / "output" / "loras"

    def picked(name):
        prompt = graph()
        prompt["round"]["inputs"]["name"] = name
        prompt["pick"] = node("BakeryPickStep", run=["train", 3], pick="last", step=0)
        prompt["compare"]["inputs"]["lora_1"] = ["pick", 0]
        found = run(comfy, prompt).outputs
        return found["round"]["text"][0].splitlines()[0], found["train"]["text"][0], scored(found)

    picked(NAME)
    add(folder, "kept", 100)
    start, _, compared = picked(NAME)
    assert start == f"{NAME}_round_2 starts from {NAME}_round_1."
    shutil.rmtree(loras / f"{NAME}_round_1" / ".run")
    (loras / f"{NAME}_round_2" / ".run" / "current").write_text("damaged")
    for number in (1, 2):
        (loras / f"{NAME}_round_{number}").rename(loras / f"{NAME}_b_round_{number}")
    start, said, again = picked(f"{NAME}_b")
    assert start == f"{NAME}_b_round_2 starts from {NAME}_b_round_1."
    assert said.startswith("already trained: 2 steps, nothing to do")
    assert again == compared == ["no LoRA", "round 1", "round 2", compared[-1]]


def test_comparing_rounds_of_what_is_none_is_refused(comfy, folder):
    prompt = graph()
    prompt["train"]["inputs"]["name"] = f"{NAME}_plain"
    del prompt["train"]["inputs"]["lora"]
    result = comfy.run_graph(prompt)
    assert "is_by_round is on" in result.error
    assert "not the name of a round" in result.error


def test_a_name_that_cannot_be_a_folder_is_refused_before_anything_runs(comfy, folder):
    prompt = graph()
    prompt["round"]["inputs"]["name"] = "a/b"
    with pytest.raises(ValueError, match="name must not contain"):
        comfy.run_graph(prompt)
