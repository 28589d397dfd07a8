"""An exported workflow trains without a page, in two processes under torchrun; the graph finds the run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pack.tests.support.paths import ROOT, comfyui_folder
from pack.tests.support.server import free_port, make_base_folder, model_paths
from pack.training.files.lora_file import load_lora
from pack.training.run.folder import RunFolder, current_run
from pack.training.run.lines import read_lines
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset

pytestmark = pytest.mark.comfy
STEPS = 3


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def plan(batch_size=2):
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "dataset": node("BakeryLoadDataset", folder="zorblax set"),
        "preview": node("BakeryPreview", prompts="zorblax", width=64, height=64, steps=2, cfg=3.0, seed=5, every=0),
        "train": node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["dataset", 0], preview=["preview", 0], name="many", steps=STEPS, batch_size=batch_size, seed=1,
            save_every=2, save_dtype="float32", on_dataset_change="start over",
        ),
    }  # fmt: skip


def headless(base, prompt, processes):
    """Runs headless.py on a workflow; 0 processes is without torchrun."""
    path = base / "plan.json"
    path.write_text(json.dumps(prompt))
    launch = ["-m", "torch.distributed.run", "--nproc_per_node", str(processes), "--master_port", str(free_port())]
    options = ["--cpu", "--base-directory", str(base), "--disable-api-nodes"]
    options += ["--extra-model-paths-config", str(model_paths(base))]
    return subprocess.run(
        [sys.executable, *(launch if processes else []), str(ROOT / "headless.py"), str(path), *options],
        env={**os.environ, "COMFYUI_PATH": str(comfyui_folder()), "OMP_NUM_THREADS": "1"},
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.fixture
def base(comfy, pocket_checkpoint, tmp_path):
    make_base_folder(tmp_path)
    write_oc_dataset(tmp_path / "input" / "zorblax set", CHARACTERS["zorblax"])
    return tmp_path


def test_two_processes_train_a_workflow_that_one_finds_finished(base, tmp_path):
    result = headless(base, plan(), processes=2)
    assert result.returncode == 0, result.stderr[-3000:]
    root = base / "output" / "loras" / "many"
    folder = RunFolder(root, current_run(root))
    lines = [line for line in read_lines(folder.metrics) if "loss" in line]
    assert [line["step"] for line in lines] == [1, 2, 3] and all(len(line["samples"]) == 2 for line in lines)
    pictures = {path.name for path in folder.previews.rglob("*.png")}
    assert "step000003-00.png" in pictures
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")}

    again = headless(base, plan(), processes=0)
    assert again.returncode == 0, again.stderr[-3000:]
    assert "LoRA Bakery: many: already trained: 3 steps" in again.stdout
    assert f"LoRA Bakery: runs lie in {root.parent}" in again.stdout
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.safetensors")} == before
    assert current_run(root) == folder.run_id and len(list((root / ".run").glob("*/run.json"))) == 1


@pytest.mark.full
def test_two_processes_train_what_one_does(base, tmp_path):
    two = headless(base, plan(), processes=2)
    assert two.returncode == 0, two.stderr[-3000:]
    other = tmp_path / "elsewhere"  # where no run of the same settings can be copied
    make_base_folder(other)
    write_oc_dataset(other / "input" / "zorblax set", CHARACTERS["zorblax"])
    alone = headless(other, plan(), processes=0)
    assert alone.returncode == 0 and "new run of 3 steps" in alone.stdout
    file = Path("output", "loras", "many", "many.safetensors")
    one, two = (load_lora(folder / file).tensors for folder in (other, base))
    assert any(not torch.equal(one[name], two[name]) for name in one), "sums of two have another order"
    assert max(float((one[name] - two[name]).abs().max()) for name in one) <= 1e-4


@pytest.mark.full
def test_what_cannot_be_trained_is_said(base):
    refused = headless(base, plan(batch_size=1), processes=2)
    assert refused.returncode != 0
    assert "batch_size must be at least the number of processes, 2, got 1" in refused.stderr
    nothing = headless(base, {"a": node("EmptyLatentImage", width=64, height=64, batch_size=1)}, processes=0)
    assert nothing.returncode == 1 and "no Train LoRA (Bakery) node" in nothing.stderr
    missing = plan()
    missing["checkpoint"]["inputs"]["ckpt_name"] = "missing.safetensors"
    invalid = headless(base, missing, processes=0)
    assert invalid.returncode == 1
    said = invalid.stderr.splitlines()[-1]
    assert said.startswith("LoRA Bakery: ComfyUI refuses the workflow: CheckpointLoaderSimple (checkpoint): ")
    assert "missing.safetensors" in said
