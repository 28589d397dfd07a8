"""A trigger word with vectors of its own, through the graph: previews, the embedding's file and prompts agree."""

import numpy as np
import pytest
import torch
from pack.tests.support.cases import chosen
from pack.tests.support.sampled import CFG, SEED, STEPS, node, picture, run, sampling
from pack.training.files.lora_file import load_lora
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset
from safetensors.torch import load_file

pytestmark = pytest.mark.comfy

WORD = "zorblax"


@pytest.fixture(scope="module")
def graph(comfy, pocket_checkpoint):
    from pack.nodes.comfy_bridge.host.embeddings import find_embeddings

    find_embeddings()  # as the pack does when the host loads it
    write_oc_dataset(comfy.base / "input" / "triggers", CHARACTERS[WORD])
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=pocket_checkpoint.name),
        "dataset": node("BakeryLoadDataset", folder="triggers"),
        "preview": node(
            "BakeryPreview", prompts=f"{WORD}, teal background", width=64, height=64, seed=SEED, steps=STEPS, cfg=CFG,
            every=3, sampler="euler", scheduler="normal",
        ),
    }  # fmt: skip


def training(graph, name, *, steps=3, lora=None, **network):
    values = {"steps": steps, "name": name, **({} if lora is None else {"lora": lora})}
    return {
        **graph,
        "network": node("BakeryNetwork", rank=4, alpha=4.0, trigger_embedding=WORD, **network),
        "optimizer": node("BakeryOptimizer", learning_rate=5e-3),
        "train": node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["dataset", 0], network=["network", 0], optimizer=["optimizer", 0], preview=["preview", 0],
            batch_size=2, seed=1, save_every=3, save_dtype="float32", **values,
        ),
        "previews": node("PreviewImage", images=["train", 4]),
    }  # fmt: skip


def difference(one, two):
    return int(np.abs(one - two).max())


@pytest.mark.parametrize("is_alone", chosen([False, True], [False]), ids=["with a LoRA", "alone"])
def test_the_preview_is_what_the_embedding_gives(comfy, graph, is_alone):
    name = f"trigger {'alone' if is_alone else 'with'}".replace(" ", "_")
    prompt = f"embedding:{name}, teal background"
    made = run(comfy, {
        **training(graph, name, train_unet=not is_alone),
        **sampling("plain", "checkpoint", f"{WORD}, teal background"),
        **sampling("graph", "train", prompt),
    })  # fmt: skip
    assert any(f"embedding:{name}" in text for text in made.outputs["train"]["text"])
    last = picture(comfy, made, "previews")[:, -64:]
    assert difference(last, picture(comfy, made, "show graph")) <= 1
    assert difference(last, picture(comfy, made, "show plain")) > 8, "something was learned"

    (vectors,) = load_file(comfy.base / "output" / "embeddings" / f"{name}.safetensors").values()
    carried = load_lora(comfy.base / "output" / "loras" / name / f"{name}.safetensors").tensors
    assert torch.equal(carried[f"bundle_emb.{WORD}.string_to_param.*"], vectors)
    assert any(key.startswith("lora_unet") for key in carried) != is_alone

    loaded = run(comfy, {
        **graph,
        "file": node(
            "LoraLoader", model=["checkpoint", 0], clip=["checkpoint", 1], lora_name=f"{name}/{name}.safetensors",
            strength_model=1.0, strength_clip=1.0,
        ),
        **sampling("file", "file", prompt),
    })  # fmt: skip
    assert difference(last, picture(comfy, loaded, "show file")) <= 1


@pytest.mark.full
def test_a_run_goes_on_with_the_same_bits_and_a_lora_is_trained_on(comfy, graph):
    run(comfy, training(graph, "trigger_short", steps=2))
    run(comfy, training(graph, "trigger_short", steps=4))
    run(comfy, training(graph, "trigger_whole", steps=4))
    folder = comfy.base / "output" / "loras"
    short, whole = (load_lora(folder / n / f"{n}.safetensors").tensors for n in ("trigger_short", "trigger_whole"))
    assert short.keys() == whole.keys() and all(torch.equal(short[key], whole[key]) for key in short)

    start = {"start": node("BakeryLoadLoRA", lora_name="trigger_whole/trigger_whole.safetensors")}
    run(comfy, {**training(graph, "trigger_on", steps=1, lora=["start", 0]), **start})
    on = load_lora(folder / "trigger_on" / "trigger_on.safetensors").tensors
    key = f"bundle_emb.{WORD}.string_to_param.*"
    fresh = load_lora(folder / "trigger_short" / "trigger_short.safetensors").tensors[key]
    assert torch.nn.functional.mse_loss(on[key], fresh) < 0.02, "one step from where it was"
    assert not torch.equal(on[key], fresh)


def test_a_word_in_no_caption_is_told(comfy, graph):
    made = run(comfy, training({**graph}, "trigger_none", steps=1) | {
        "network": node("BakeryNetwork", rank=4, alpha=4.0, trigger_embedding="nowhere"),
    })  # fmt: skip
    assert any("'nowhere' is in none of" in text for text in made.outputs["train"]["text"])
