"""Every algorithm through the whole graph on the pocket model: preview, graph and saved file are one picture."""

import numpy as np
import pytest
from pack.tests.support.cases import chosen
from pack.tests.support.sampled import CFG, SEED, STEPS, node, picture, run, sampling
from pack.workbench.pocket.characters import CHARACTERS, write_oc_dataset

pytestmark = pytest.mark.comfy

PROMPT = "zorblax, teal background"
NETWORKS = {
    "lora": {"algorithm": "lora"},
    "locon": {"algorithm": "locon", "conv_rank": 4},
    "rslora": {"algorithm": "lora", "rank_stabilized": True},
    "dora": {"algorithm": "locon", "weight_decompose": True},
    "loha": {"algorithm": "loha", "targets": "blocks"},
    "loha dora": {"algorithm": "loha", "weight_decompose": True},
    "lokr": {"algorithm": "lokr", "factor": 8, "targets": "blocks"},
    "lokr full matrix": {"algorithm": "lokr", "full_matrix": True},
    "lokr decompose both": {"algorithm": "lokr", "decompose_both": True},
    "lokr dora": {"algorithm": "lokr", "weight_decompose": True},
    "dylora": {"algorithm": "dylora", "block_size": 2, "targets": "blocks"},
    "tlora": {"algorithm": "tlora"},
    "ia3": {"algorithm": "ia3", "targets": "all"},
    "glora": {"algorithm": "glora", "targets": "blocks"},
    "full": {"algorithm": "full", "train_bias": True, "targets": "all"},
    "diag-oft": {"algorithm": "diag-oft", "targets": "blocks"},
    "boft": {"algorithm": "boft", "targets": "blocks"},
    "lycoris tlora": {"algorithm": "lycoris", "lycoris_arguments": "algo=tlora preset=attn-mlp"},
    "lycoris lokr": {"algorithm": "lycoris", "lycoris_arguments": "algo=lokr factor=8 use_tucker=True preset=full"},
    "lycoris bypass": {"algorithm": "lycoris", "lycoris_arguments": "algo=locon bypass_mode=True dropout=0.1"},
    "norms": {"algorithm": "lora", "train_norms": True},
    "ia3 norms": {"algorithm": "ia3", "train_norms": True},
    "boft norms": {"algorithm": "boft", "train_norms": True},
}
RATES = {"full": 1e-3, "ia3": 0.05}


@pytest.fixture(scope="module")
def graph(comfy, pocket_checkpoint):
    """Everything but network and training."""
    write_oc_dataset(comfy.base / "input" / "algorithms", CHARACTERS["zorblax"])
    return {
        "checkpoint": node("CheckpointLoaderSimple", ckpt_name=pocket_checkpoint.name),
        "dataset": node("BakeryLoadDataset", folder="algorithms"),
        "preview": node(
            "BakeryPreview", prompts=PROMPT, width=64, height=64, seed=SEED, steps=STEPS, cfg=CFG, every=3,
            sampler="euler", scheduler="normal",
        ),
    }  # fmt: skip


def difference(one, two):
    return int(np.abs(one - two).max())


EVERY_DAY = ("dora", "lokr")
"""One that needs the weight, and one that other code of the host reads; all run with --full."""


@pytest.mark.parametrize("name", chosen(NETWORKS, EVERY_DAY))
def test_preview_graph_and_core_loader_draw_the_same(comfy, graph, name):
    lora = f"algorithm {name}"
    trained = {
        **graph,
        "network": node("BakeryNetwork", rank=4, alpha=4.0, train_text_encoder=True, **NETWORKS[name]),
        "optimizer": node("BakeryOptimizer", learning_rate=RATES.get(NETWORKS[name]["algorithm"], 5e-3)),
        "train": node(
            "BakeryTrain", model=["checkpoint", 0], clip=["checkpoint", 1], vae=["checkpoint", 2],
            dataset=["dataset", 0], network=["network", 0], optimizer=["optimizer", 0], preview=["preview", 0],
            name=lora, steps=3, batch_size=2, seed=1, save_every=3, save_dtype="float32",
        ),
        "show previews": node("PreviewImage", images=["train", 4]),
        **sampling("base", "checkpoint", PROMPT),
        **sampling("graph", "train", PROMPT),
    }  # fmt: skip
    result = run(comfy, trained)
    previews = picture(comfy, result, "show previews")  # at step 0, then at step 3
    base, in_graph = picture(comfy, result, "show base"), picture(comfy, result, "show graph")
    loaded = {
        **graph,
        "file": node(
            "LoraLoader", model=["checkpoint", 0], clip=["checkpoint", 1], lora_name=f"{lora}/{lora}.safetensors",
            strength_model=1.0, strength_clip=1.0,
        ),
        **sampling("file", "file", PROMPT),
    }  # fmt: skip
    from_file = picture(comfy, run(comfy, loaded), "show file")
    assert previews.shape == (64, 128, 3)
    assert difference(base, previews[:, :64]) <= (2 if "dora" in name else 0)
    assert difference(in_graph, previews[:, 64:]) <= 2
    assert difference(from_file, in_graph) <= 2
    assert difference(in_graph, base) > 8
    assert in_graph.std() > 10  # a picture, no mere gray
