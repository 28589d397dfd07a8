"""Dataset, train, sample through a real server's API, and what the file is worth elsewhere."""

import io
import json

import numpy as np
import pytest
from pack.tests.support.client import ComfyClient
from pack.training.files.lora_file import load_lora
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset
from PIL import Image

pytestmark = pytest.mark.server

NAME = "zör blax é"
STEPS = 6


def sampling(graph, tag, model, clip):
    """Adds a core sampler on a model and clip; `show <tag>` shows the picture."""
    graph |= {
        f"text {tag}": node("CLIPTextEncode", clip=clip, text="zorblax, teal background"),
        f"none {tag}": node("CLIPTextEncode", clip=clip, text=""),
        f"latent {tag}": node("EmptyLatentImage", width=64, height=64, batch_size=2),
        f"sample {tag}": node(
            "KSampler", model=model, positive=[f"text {tag}", 0], negative=[f"none {tag}", 0],
            latent_image=[f"latent {tag}", 0], seed=5, steps=4, cfg=3.0, sampler_name="euler", scheduler="normal",
            denoise=1.0,
        ),
        f"decode {tag}": node("VAEDecode", samples=[f"sample {tag}", 0], vae=["checkpoint", 2]),
        f"show {tag}": node("PreviewImage", images=[f"decode {tag}", 0]),
    }  # fmt: skip


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def training_graph():
    graph = {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "dataset": node("BakeryLoadDataset", folder="zorblax set"),
        "network": node("BakeryNetwork", algorithm="locon", rank=8, alpha=8.0, train_text_encoder=True),
        "optimizer": node("BakeryOptimizer", optimizer="AdamW", learning_rate=5e-3),
        "preview": node(
            "BakeryPreview", prompts="zorblax, teal background\nzorblax", width=64, height=64, steps=4, cfg=3.0, seed=5,
            every=3,
        ),
        "train": node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["dataset", 0], network=["network", 0], optimizer=["optimizer", 0], preview=["preview", 0],
            name=NAME, steps=STEPS, batch_size=3, seed=1, save_every=3, save_dtype="float32",
            on_dataset_change="start over",
        ),
        "sheet": node("PreviewImage", images=["train", 4]),
    }  # fmt: skip
    sampling(graph, "lora", ["train", 0], ["train", 1])
    return graph


@pytest.fixture(scope="module")
def trained(comfy_server, pocket_checkpoint):
    """One training through the API: (server, client with its events, result)."""
    write_oc_dataset(comfy_server.input / "zorblax set", CHARACTERS["zorblax"])
    with ComfyClient(comfy_server.url) as client:
        before = {"checkpoint": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors")}
        sampling(before, "base", ["checkpoint", 0], ["checkpoint", 1])
        untouched = client.run(before)
        result = client.run(training_graph(), workflow={"nodes": [], "version": 0.4, "note": "the graph"})
        assert result.status == "success", result.error
        yield comfy_server, client, untouched, result


def pictures(client, result, tag):
    images = [Image.open(io.BytesIO(client.view(image))) for image in result.outputs[f"show {tag}"]["images"]]
    return np.stack([np.asarray(image.convert("RGB"), dtype=np.int16) for image in images])


def file_graph(files):
    graph = {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name="pocket.safetensors"),
        "file": node(
            "LoraLoader", model=["checkpoint", 0], clip=["checkpoint", 1], lora_name=files, strength_model=1.0,
            strength_clip=1.0,
        ),
    }  # fmt: skip
    sampling(graph, "base", ["checkpoint", 0], ["checkpoint", 1])
    sampling(graph, "file", ["file", 0], ["file", 1])
    return graph


def test_previews_and_progress_reach_the_page(trained):
    _, client, _, result = trained
    kinds = [event.type for event in client.events]
    assert kinds.count("bakery.sample") == 3  # steps 0, 3, 6
    assert kinds.count("bakery.step") >= STEPS
    shown = [Image.open(io.BytesIO(event.image)) for event in client.events if event.type == "preview" and event.image]
    assert any(picture.width == 2 * picture.height for picture in shown)  # both prompts side by side
    assert any("it/s" in event.data["text"] for event in client.events if event.type == "text")
    sheet = Image.open(io.BytesIO(client.view(result.outputs["sheet"]["images"][0])))
    assert sheet.size == (3 * 64, 2 * 64)


def test_core_loader_draws_what_the_graph_draws_and_the_base_is_as_before(trained):
    server, client, untouched, result = trained
    names = client.object_info()["LoraLoader"]["input"]["required"]["lora_name"][0]
    saved = next(name for name in names if name.endswith(f"{NAME}.safetensors"))
    loaded = client.run(file_graph(saved))
    in_graph, from_file = pictures(client, result, "lora"), pictures(client, loaded, "file")
    assert np.abs(in_graph - from_file).max() <= 2
    base = pictures(client, untouched, "base")
    assert np.array_equal(base, pictures(client, loaded, "base"))
    assert np.abs(in_graph - base).max() > 8  # it learned something


def test_file_has_kohya_names_metadata_and_the_graph(trained):
    server, _, _, _ = trained
    folder = server.output / "loras" / NAME
    assert {path.name for path in folder.glob("*.safetensors")} == {
        f"{NAME}.safetensors", f"{NAME}-step000003.safetensors", f"{NAME}-step000006.safetensors",
    }  # fmt: skip
    file = load_lora(folder / f"{NAME}.safetensors")
    modules = {key.split(".")[0] for key in file.tensors}
    assert "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q" in modules
    assert "lora_te_text_model_encoder_layers_2_mlp_fc2" in modules  # the last of the three that these hosts load
    assert all(f"{module}.alpha" in file.tensors for module in modules)
    metadata = file.metadata
    assert metadata["ss_network_dim"] == "8" and metadata["ss_base_model_version"] == "sd_v1"
    assert metadata["modelspec.architecture"] == "stable-diffusion-v1/lora"
    assert len(metadata["sshs_model_hash"]) == 64 and len(metadata["sshs_legacy_hash"]) == 8
    assert json.loads(metadata["workflow"])["note"] == "the graph"
    assert json.loads(metadata["prompt"])["train"]["class_type"] == "BakeryTrain"
    assert "zorblax" in metadata["ss_tag_frequency"]
    assert str(server.output) not in json.dumps(metadata)


def test_diffusers_reads_the_file(trained):
    from diffusers.loaders.lora_conversion_utils import _convert_non_diffusers_lora_to_diffusers

    server, _, _, _ = trained
    tensors = load_lora(server.output / "loras" / NAME / f"{NAME}.safetensors").tensors
    converted, alphas = _convert_non_diffusers_lora_to_diffusers(dict(tensors))
    num_modules = sum(key.endswith("alpha") for key in tensors)
    assert len(converted) == 2 * num_modules and len(alphas) == num_modules
