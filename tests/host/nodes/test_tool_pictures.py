"""Apply, merge, bake, resize and load by the pictures they give on the pocket model, against core's own nodes."""

import io

import numpy as np
import pytest
import torch
from pack.training.files.lora_file import save_lora
from PIL import Image

pytestmark = pytest.mark.server

LINEAR = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_{}"
SIZES = {"attn1_to_q": (320, 320), "attn2_to_v": (320, 768), "ff_net_2": (320, 1280)}
CHECKPOINT = "pocket.safetensors"


def node(class_type, **inputs):
    return {"class_type": class_type, "inputs": inputs}


def drawn(generator, *shape):
    return torch.randn(shape, generator=generator) * 0.15


def low_rank(seed, rank, alpha):
    draws = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, (out, inputs) in SIZES.items():
        key = LINEAR.format(name)
        tensors[f"{key}.lora_down.weight"] = drawn(draws, rank, inputs)
        tensors[f"{key}.lora_up.weight"] = drawn(draws, out, rank)
        tensors[f"{key}.alpha"] = torch.tensor(float(alpha))
    return tensors


def kronecker(seed):
    draws = torch.Generator().manual_seed(seed)
    return {
        f"{LINEAR.format(name)}.{part}": tensor
        for name, (out, inputs) in SIZES.items()
        for part, tensor in (
            ("lokr_w1", drawn(draws, 8, 8) * 4),
            ("lokr_w2", drawn(draws, out // 8, inputs // 8)),
            ("alpha", torch.tensor(1.0)),
        )
    }


@pytest.fixture(scope="module")
def draw(comfy_server, pocket_checkpoint):
    """Files `one`, `two` and `kron` in output/loras; gives pictures (N, H, W, 3) of a graph's MODEL and CLIP."""
    folder = comfy_server.output / "loras"
    for name, tensors in {"one": low_rank(1, 4, 2), "two": low_rank(2, 6, 6), "kron": kronecker(3)}.items():
        save_lora(folder / f"{name}.safetensors", tensors, {})
    client = comfy_server.client()

    def pictures(graph, model, clip, vae=("checkpoint", 2)):
        graph = {"checkpoint": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT), **graph}
        graph |= {
            "text": node("CLIPTextEncode", clip=clip, text="creature, red skin, sky background"),
            "none": node("CLIPTextEncode", clip=clip, text=""),
            "latent": node("EmptyLatentImage", width=64, height=64, batch_size=2),
            "sample": node(
                "KSampler", model=model, positive=["text", 0], negative=["none", 0], latent_image=["latent", 0],
                seed=3, steps=4, cfg=3.0, sampler_name="euler", scheduler="normal", denoise=1.0,
            ),
            "decode": node("VAEDecode", samples=["sample", 0], vae=list(vae)),
            "show": node("PreviewImage", images=["decode", 0]),
        }  # fmt: skip
        result = client.run(graph)
        assert result.status == "success", result.error
        shown = [Image.open(io.BytesIO(client.view(image))) for image in result.outputs["show"]["images"]]
        return np.stack([np.asarray(image.convert("RGB"), dtype=np.int16) for image in shown])

    return pictures


def core_chain(*loras):
    """LoraLoader after LoraLoader: (graph, MODEL, CLIP)."""
    graph, model, clip = {}, ["checkpoint", 0], ["checkpoint", 1]
    for number, (name, strength) in enumerate(loras):
        graph[f"core {number}"] = node(
            "LoraLoader", model=model, clip=clip, lora_name=f"{name}.safetensors", strength_model=strength,
            strength_clip=strength,
        )  # fmt: skip
        model, clip = [f"core {number}", 0], [f"core {number}", 1]
    return graph, model, clip


def loaded(*names):
    return {f"load {name}": node("BakeryLoadLoRA", lora_name=f"{name}.safetensors") for name in names}


def applied(lora, strength=1.0):
    return node(
        "BakeryApplyLoRA", model=["checkpoint", 0], clip=["checkpoint", 1], lora=lora, unet_strength=strength,
        text_encoder_strength=strength,
    )  # fmt: skip


def difference(one, two):
    return int(np.abs(one - two).max())


@pytest.mark.parametrize("name", ["one", "kron"])
def test_apply_draws_what_the_core_loader_draws(draw, name):
    graph = {**loaded(name), "apply": applied([f"load {name}", 0], 0.8)}
    ours = draw(graph, ["apply", 0], ["apply", 1])
    assert difference(ours, draw(*core_chain((name, 0.8)))) == 0
    assert difference(ours, draw({}, ["checkpoint", 0], ["checkpoint", 1])) > 20


def test_merged_draws_what_both_draw(draw):
    merge = node(
        "BakeryMergeLoRAs", lora_1=["load one", 0], strength_1=0.7, lora_2=["load two", 0], strength_2=-0.5,
        dtype="fp32",
    )  # fmt: skip
    graph = {**loaded("one", "two"), "merge": merge, "apply": applied(["merge", 0])}
    assert difference(draw(graph, ["apply", 0], ["apply", 1]), draw(*core_chain(("one", 0.7), ("two", -0.5)))) <= 2


def test_baked_and_saved_checkpoint_draws_what_the_lora_draws(draw, comfy_server):
    bake = node("BakeryMergeIntoModel", model=["checkpoint", 0], clip=["checkpoint", 1], lora=["load kron", 0])
    save = node(
        "CheckpointSave",
        model=["bake", 0],
        clip=["bake", 1],
        vae=["checkpoint", 2],
        filename_prefix="checkpoints/baked",
    )
    client = comfy_server.client()
    result = client.run(
        {
            "checkpoint": node("CheckpointLoaderSimple", ckpt_name=CHECKPOINT),
            **loaded("kron"),
            "bake": bake,
            "save": save,
        }
    )
    assert result.status == "success", result.error
    names = client.object_info()["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0]
    baked = next(name for name in names if "baked" in name)
    graph = {"again": node("CheckpointLoaderSimple", ckpt_name=baked)}
    ours = draw(graph, ["again", 0], ["again", 1], ["again", 2])
    # The checkpoint is saved in half precision.
    assert difference(ours, draw(*core_chain(("kron", 1.0)))) <= 6


def test_resized_to_its_own_rank_draws_the_same(draw):
    resize = node("BakeryResizeLoRA", lora=["load two", 0], rank=6, dtype="fp32")
    graph = {**loaded("two"), "resize": resize, "apply": applied(["resize", 0])}
    assert difference(draw(graph, ["apply", 0], ["apply", 1]), draw(*core_chain(("two", 1.0)))) <= 2
