"""What people get to read when they give the LoRA tools the wrong thing, over the host's API."""

import shutil

import pytest
import safetensors.torch
import torch
from pack.tests.support.paths import POCKET_CHECKPOINT
from pack.training.files.lora_file import save_lora

pytestmark = pytest.mark.server

MODULE = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_v"
SDXL_MODULE = "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k"
FLUX_MODULE = "lora_unet_double_blocks_0_img_attn_qkv"


def low_rank(module, out, inputs, rank=4):
    draws = torch.Generator().manual_seed(1)
    return {
        f"{module}.lora_down.weight": torch.randn(rank, inputs, generator=draws) * 0.1,
        f"{module}.lora_up.weight": torch.randn(out, rank, generator=draws) * 0.1,
        f"{module}.alpha": torch.tensor(float(rank)),
    }


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


@pytest.fixture(scope="module")
def client(comfy_server, pocket_checkpoint, tiny_sd15):
    folder = comfy_server.output / "loras" / "wrong"
    save_lora(folder / "good.safetensors", low_rank(MODULE, 320, 768), {})
    whole = (folder / "good.safetensors").read_bytes()
    (folder / "damaged.safetensors").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.safetensors").write_bytes(b"")
    safetensors.torch.save_file({}, folder / "hollow.safetensors")
    shutil.copy(POCKET_CHECKPOINT, folder / "checkpoint.safetensors")
    save_lora(folder / "sdxl.safetensors", low_rank(SDXL_MODULE, 640, 2048), {})
    safetensors.torch.save_file(low_rank(FLUX_MODULE, 9216, 3072), folder / "flux.safetensors")
    yield comfy_server.client()
    shutil.rmtree(folder)


def run(client, **tool):
    """The last given node after a file's loader and the two SD1.5 checkpoints; shows its text."""
    graph = {
        "pocket": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "tiny": node("CheckpointLoaderSimple", ckpt_name="tiny_sd15_v1.safetensors"),
        "lora": node("BakeryLoadLoRA", lora_name=f"wrong/{tool.pop('file', 'good')}.safetensors"),
        "tool": node(tool.pop("tool"), **tool),
        "show": node("PreviewAny", source=["tool", 0]),
    }
    return client.run(graph)


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("damaged", ("damaged.safetensors is not a readable safetensors file", "download it again")),
        ("empty", ("empty.safetensors is empty", "download it again")),
        ("hollow", ("hollow.safetensors", "holds no tensors of a LoRA", "download it again")),
        ("checkpoint", ("checkpoint.safetensors", "a whole checkpoint, not a LoRA", "Load Checkpoint")),
        ("flux", ("flux.safetensors", FLUX_MODULE, "not a module of SD1.5 or SDXL", "choose one")),
    ],
)
def test_files_that_are_no_lora_are_named_with_what_they_are(client, file, message):
    result = run(client, file=file, tool="BakeryInspectLoRA", lora=["lora", 0])
    assert result.error.startswith("BakeryLoadLoRA (lora)")
    assert all(part in result.error for part in message), result.error


@pytest.mark.parametrize("tool", ["BakeryApplyLoRA", "BakeryMergeIntoModel"])
def test_a_lora_of_the_other_family_is_refused(client, tool):
    result = run(client, file="sdxl", tool=tool, model=["pocket", 0], clip=["pocket", 1], lora=["lora", 0])
    assert "lora: it is for sdxl, the model is sd15; choose one made for this model" in result.error


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ("FRONT", "one of NONE, ALL, INALL, OUTALL, INS, IND, MIDD, OUTD, OUTS, or names like IN04:0.5, got 'FRONT'"),
        ("IN01=0.5", "or names like IN04:0.5, got 'IN01=0.5'"),
        ("1,2,3", "must be 17 or 26 numbers for sd15, one of"),
        ("IN77:1", "must name blocks of sd15 (IN00 to OUT11, BASE, IN, M, OUT), got 'IN77'"),
        ("IN01:x", "block weights of IN01 must hold numbers, got 'x'"),
    ],
)
def test_block_strengths_that_are_none_tell_what_would_be(client, blocks, message):
    inputs = {"model": ["pocket", 0], "clip": ["pocket", 1], "lora": ["lora", 0], "block_strengths": blocks}
    assert message in run(client, tool="BakeryApplyLoRA", **inputs).error


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"rank_method": "sv_fro", "threshold": 3.0}, "threshold must be above 0 and at most 1 for sv_fro, got 3.0"),
        ({"rank_method": "sv_ratio", "threshold": 0.5}, "threshold must be above 1 for sv_ratio, got 0.5"),
        ({"rank_method": "sv_fro", "keep_first": True}, "rank_method must be fixed where the first ranks are kept"),
    ],
)
def test_values_that_no_resizing_could_follow_are_named(client, inputs, message):
    assert message in run(client, tool="BakeryResizeLoRA", lora=["lora", 0], rank=4, **inputs).error


def test_extracting_from_unequal_models_names_what_only_one_has(client):
    graph = {
        "pocket": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "tiny": node("CheckpointLoaderSimple", ckpt_name="tiny_sd15_v1.safetensors"),
        "tool": node("BakeryExtractLoRA", model=["pocket", 0], tuned_model=["tiny", 0], rank=2),
        "show": node("PreviewAny", source=["tool", 1]),
    }
    result = client.run(graph)
    assert result.status == "success", result.error
    text = "".join(result.outputs["show"]["text"])
    assert "modules are in only one of the models and are left out: lora_unet_" in text
