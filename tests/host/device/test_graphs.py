"""Whole training graphs on the second device: every algorithm and part, and nothing of ours is left there."""

import pytest
from pack.tests.host.device.graphs import bytes_of_others, trained, training_graph

pytestmark = pytest.mark.comfy

NETWORKS = {
    "lora": {"algorithm": "lora"},
    "locon": {"algorithm": "locon", "conv_rank": 4, "dropout": 0.2, "rank_dropout": 0.2},
    "dora": {"algorithm": "locon", "weight_decompose": True},
    "loha": {"algorithm": "loha", "targets": "blocks"},
    "lokr": {"algorithm": "lokr", "factor": 8, "targets": "blocks"},
    "dylora": {"algorithm": "dylora", "block_size": 2, "targets": "blocks"},
    "tlora": {"algorithm": "tlora"},
    "ia3": {"algorithm": "ia3", "targets": "all"},
    "glora": {"algorithm": "glora", "targets": "blocks"},
    "full": {"algorithm": "full", "train_bias": True, "targets": "all"},
    "diag-oft": {"algorithm": "diag-oft", "targets": "blocks"},
    "boft": {"algorithm": "boft", "targets": "blocks"},
    "norms": {"algorithm": "lora", "train_norms": True},
}


OF_MANY = [pytest.param(name, marks=[] if name == "lora" else pytest.mark.full) for name in NETWORKS]
"""One always runs; the others are the same on another algorithm."""


@pytest.mark.parametrize("name", OF_MANY)
def test_every_algorithm_trains_unet_and_text_encoder(comfy, device, name):
    graph = training_graph(comfy, f"algorithm {name}", network={"train_text_encoder": True, **NETWORKS[name]})
    assert "3 steps" in trained(comfy, graph)
    assert bytes_of_others(comfy, device) == 0


def test_text_encoders_on_the_processor_train_where_they_are(comfy, device):
    network = {"train_text_encoder": True}
    graph = training_graph(comfy, "text on the processor", network=network, clip_device="cpu")
    assert "3 steps" in trained(comfy, graph)
