"""What cannot work is refused before it starts, in one message that says what to do: as a user meets it, in a graph."""

import copy
import re

import pytest
import torch
from pack.training.files.lora_file import load_lora, save_lora
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset
from safetensors.torch import load_file

pytestmark = pytest.mark.comfy


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture(scope="module")
def graph(comfy, pocket_checkpoint):
    """A training that would work."""
    write_oc_dataset(comfy.base / "input" / "refusals", CHARACTERS["zorblax"])
    (comfy.base / "input" / "empty folder").mkdir()
    loras = comfy.base / "output" / "loras"
    loras.mkdir(parents=True, exist_ok=True)
    of_sdxl = "lora_unet_input_blocks_4_1_transformer_blocks_1_attn1_to_q"
    save_lora(loras / "of sdxl.safetensors", {
        f"{of_sdxl}.lora_down.weight": torch.zeros(4, 640), f"{of_sdxl}.lora_up.weight": torch.zeros(640, 4),
        f"{of_sdxl}.alpha": torch.tensor(4.0),
    }, {})  # fmt: skip
    attention = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"
    save_lora(loras / "no numbers.safetensors", {
        f"{attention}.lora_down.weight": torch.full((4, 320), float("nan")),
        f"{attention}.lora_up.weight": torch.ones(320, 4), f"{attention}.alpha": torch.tensor(4.0),
    }, {})  # fmt: skip
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=pocket_checkpoint.name),
        "dataset": node("BakeryLoadDataset", folder="refusals"),
        "preview": node("BakeryPreview", prompts="a", width=64, height=64, steps=1, every=0, at_start=False),
        "train": node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["dataset", 0], preview=["preview", 0], name="refused", steps=4, batch_size=2,
        ),
    }  # fmt: skip


def message(comfy, graph, inputs, **nodes):
    """What the user is told; nothing was trained and no LoRA written."""
    changed = copy.deepcopy({**graph, **nodes})
    changed["train"]["inputs"] |= inputs
    result = comfy.run_graph(changed)
    assert result.status == "error"
    assert not list((comfy.base / "output" / "loras" / "refused").rglob("*.safetensors"))
    return result.error


CASES = {
    "a rate surely wrong for the optimizer": (
        {"optimizer": ["optimizer", 0]},
        {"optimizer": node("BakeryOptimizer", optimizer="Prodigy", learning_rate=1e-4)},
        "learning_rate must be from 0.05 to below 10 for Prodigy, which finds its own step size and multiplies it by "
        "this, got 0.0001; use 1",
    ),
    "a rate that destroys the network": (
        {"optimizer": ["optimizer", 0]},
        {"optimizer": node("BakeryOptimizer", learning_rate=1.0)},
        "learning_rate must be from 1e-08 to below 0.1 for AdamW, got 1; use 0.000",
    ),
    "two rates for an adaptive optimizer": (
        {"optimizer": ["optimizer", 0], "network": ["network", 0]},
        {
            "optimizer": node("BakeryOptimizer", optimizer="Prodigy", learning_rate=1.0, text_encoder_lr=0.5),
            "network": node("BakeryNetwork", train_text_encoder=True),
        },
        "unet_lr and text_encoder_lr must be equal: Prodigy finds one step size for the whole network",
    ),
    "block weights and an adaptive optimizer": (
        {"optimizer": ["optimizer", 0], "network": ["blocks", 0]},
        {
            "optimizer": node("BakeryOptimizer", optimizer="Prodigy", learning_rate=1.0),
            "network": node("BakeryNetwork"),
            "blocks": node("BakeryBlockWeights", network=["network", 0], down="cosine", up="sine"),
        },
        "block weights must all be equal: Prodigy finds one step size for the whole network",
    ),
    "settings of a network that exclude each other": (
        {"network": ["network", 0]},
        {"network": node("BakeryNetwork", algorithm="lokr", full_matrix=True, decompose_both=True)},
        "full_matrix and decompose_both exclude each other, got both on; switch one off",
    ),
    "a rank above the layer": (
        {"network": ["network", 0]},
        {"network": node("BakeryNetwork", rank=4096)},
        "rank must be at most 320, the smaller side of input_blocks.1.1",
    ),
    "blocks an algorithm cannot split": (
        {"network": ["network", 0]},
        {"network": node("BakeryNetwork", algorithm="dylora", rank=16, block_size=5)},
        "rank must be a multiple of block_size 5, got 16",
    ),
    "a network of another model family": (
        {"lora": ["file", 0]},
        {"file": node("BakeryLoadLoRA", lora_name="of sdxl.safetensors")},
        "it is for sdxl, the model is sd15",
    ),
    "an empty dataset": (
        {},
        {"dataset": node("BakeryLoadDataset", folder="empty folder")},
        "the folder 'empty folder' must have images",
    ),
    "only regularization images": (
        {},
        {"dataset": node("BakeryLoadDataset", folder="refusals", is_regularization=True)},
        "the dataset must have training images, got regularization images only",
    ),
    "captions without a reader": (
        {"clip": None},
        {},
        "clip is not connected: connect the CLIP of the checkpoint, it reads the captions",
    ),
    "an objective of v-prediction on an epsilon model": (
        {"objective": ["objective", 0]},
        {"objective": node("BakeryObjective", scale_v_pred_loss_like_noise_pred=True)},
        "scale_v_pred_loss_like_noise_pred needs a v-prediction model",
    ),
    "a validation set that is trained": (
        {"validation_dataset": ["dataset", 0]},
        {},
        "validation_dataset must hold images that are not trained, got",
    ),
    "a model that gives no numbers": (
        {"model": ["broken", 0]},
        {
            "broken": node(
                "LoraLoader", model=["checkpoint", 0], clip=["checkpoint", 1], lora_name="no numbers.safetensors",
                strength_model=1.0, strength_clip=1.0,
            ),
        },
        "the loss is nan before anything is trained, so the learning rate is not the cause",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_refused_in_one_message(comfy, graph, case):
    inputs, nodes, wanted = CASES[case]
    changed = dict(inputs)
    base = copy.deepcopy(graph)
    if changed.get("clip", 0) is None:
        del changed["clip"], base["train"]["inputs"]["clip"]
    assert wanted in message(comfy, base, changed, **nodes)


def test_a_vae_that_overflows_is_named(comfy, graph, monkeypatch):
    """As SDXL's own VAE does in float16: the host's encoder gives NaN."""
    sd = comfy.module("comfy.sd")
    encode = sd.VAE.encode
    monkeypatch.setattr(sd.VAE, "encode", lambda self, pixels: encode(self, pixels) * float("nan"))
    changed = copy.deepcopy(graph)
    changed["preview"]["inputs"]["prompts"] = "another"  # so that nothing is taken from the host's cache
    changed["dataset"] = node("BakeryLoadDataset", folder="refusals", repeats=2)
    changed["ram"] = node("BakeryBuckets", dataset=["dataset", 0], cache="ram")
    text = message(comfy, changed, {"dataset": ["ram", 0]})
    assert "the VAE gives NaN or infinite latents for" in text and "run it in float32 or bfloat16" in text


def assert_good(comfy, name):
    """The last state and the last LoRA hold numbers."""
    folder = comfy.base / "output" / "loras" / name
    states = sorted(folder.rglob("*.state"))
    assert states
    for tensors in (load_file(states[-1]), load_lora(folder / f"{name}.safetensors").tensors):
        assert all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def test_a_gradient_that_is_no_number_stops_at_the_last_good_state(comfy, graph):
    changed = copy.deepcopy(graph) | {
        "network": node("BakeryNetwork", algorithm="loha", alpha=256.0),
        "optimizer": node("BakeryOptimizer", learning_rate=0.09, max_grad_norm=0.0, weight_decay=0.0),
    }
    changed["train"]["inputs"] |= {
        "network": ["network", 0], "optimizer": ["optimizer", 0], "name": "no number", "steps": 60, "batch_size": 1,
        "save_every": 1,
    }  # fmt: skip
    result = comfy.run_graph(changed)
    assert result.status == "error"
    assert re.search(
        r"training diverged at step \d+: loss .*, gradient norm (inf|nan)\. The run stands at", result.error
    )
    assert "Most likely the learning rate (0.09) is too high for this network; lower it 3-10 times" in result.error
    assert_good(comfy, "no number")


@pytest.mark.full
def test_a_run_that_blows_up_stops_at_its_last_good_state(comfy, graph):
    """A rate that rises to the highest that is let through: the loss explodes, what was saved before stays good."""
    changed = copy.deepcopy(graph) | {
        "network": node("BakeryNetwork", rank=32, alpha=32.0),
        "optimizer": node("BakeryOptimizer", learning_rate=0.09, warmup_steps=150.0, max_grad_norm=0.0),
    }
    changed["train"]["inputs"] |= {
        "network": ["network", 0], "optimizer": ["optimizer", 0], "name": "exploding", "steps": 400, "batch_size": 4,
        "save_every": 10,
    }  # fmt: skip
    result = comfy.run_graph(changed)
    assert result.status == "error"
    assert "training diverged: at step " in result.error and "the network is worse than none" in result.error
    assert re.search(r"Most likely the learning rate \(0\.0\d+\) is too high .* lower it 3-10 times", result.error)
    assert_good(comfy, "exploding")
