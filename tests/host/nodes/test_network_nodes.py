"""The network nodes build the settings that their inputs say, and refuse what cannot work."""

import pytest

pytestmark = pytest.mark.comfy


@pytest.fixture
def nodes(comfy):
    return comfy.module("pack.nodes.training.network")


def run(node, **values):
    return node.execute(**values).result[0]


def defaults(node):
    return {item.id: item.default for item in node.define_schema().inputs if hasattr(item, "default")}


def test_defaults_are_the_default_settings(nodes):
    assert run(nodes.BakeryNetwork, **defaults(nodes.BakeryNetwork)) == nodes.NetworkSettings()


def test_inputs_reach_the_settings(nodes):
    made = run(
        nodes.BakeryNetwork,
        **defaults(nodes.BakeryNetwork)
        | {"algorithm": "locon", "rank": 8, "conv_rank": 4, "conv_alpha": 0.0, "include": "*attn2*, *ff*"}
        | {"train_unet": False, "train_text_encoder": True},
    )
    assert made.parts == ("text_encoder",)
    assert (made.conv_rank, made.conv_alpha, made.include) == (4, 0.0, ("*attn2*", "*ff*"))


def test_block_weights_refine_a_network(nodes):
    values = defaults(nodes.BakeryBlockWeights)
    network = nodes.NetworkSettings(rank=8)
    assert run(nodes.BakeryBlockWeights, network=network, **values) == network
    made = run(nodes.BakeryBlockWeights, network=network, **values | {"preset": "INALL", "ranks": "IN:4"})
    blocks = made.block_weights.resolve("sdxl")
    assert made.rank == 8 and blocks.weight("OUT01") == 0 and blocks.rank("IN04", False) == 4
    with pytest.raises(ValueError, match="preset.*blocks"):
        run(nodes.BakeryBlockWeights, network=network, **values | {"preset": "INALL", "blocks": "M:0"})
