"""Which modules receive an adapter, how large it is, and what is refused."""

import pytest
import torch
from pack.tests.support.tiny_networks import tiny_parts
from pack.training.networks import BlockWeights, Network, NetworkSettings
from pack.training.networks.targets import find_modules
from torch import nn

ATTENTION = 3 * 4
PROJECTIONS = 3 * 2
RESNETS = 4 * 3
OUTSIDE = 4
"""Time embedding (two linear layers) and the first and last convolution."""


def paths(**settings):
    made = Network.create(tiny_parts(), "sd15", NetworkSettings(**{"rank": 4, **settings}), seed=0)
    return [attachment.target.path for attachment in made.attachments]


class Wrapped(nn.Module):
    """A layer as other packs wrap it."""

    def __init__(self, layer):
        super().__init__()
        self.original, self.in_features, self.out_features = layer, layer.in_features, layer.out_features

    @property
    def weight(self):
        return self.original.weight

    def forward(self, x):
        return self.original(x)


def test_a_layer_within_a_wrapped_one_is_adapted_once():
    plain, parts = tiny_parts(), tiny_parts()
    for module in [*parts["unet"].modules()]:
        for name, child in [*module.named_children()]:
            if type(child) is nn.Linear and not isinstance(module, Wrapped):
                setattr(module, name, Wrapped(child))
    wanted, found = ([target.path for target in find_modules(one, "sd15")] for one in (plain, parts))
    assert found == wanted


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"targets": "attention"}, ATTENTION),
        ({}, ATTENTION + PROJECTIONS),
        ({"algorithm": "locon"}, ATTENTION + PROJECTIONS + RESNETS),
        ({"algorithm": "loha"}, ATTENTION + PROJECTIONS),
        ({"targets": "blocks"}, ATTENTION + PROJECTIONS + 4),
        ({"targets": "all_linear"}, ATTENTION + PROJECTIONS + 4 + 2),
        ({"targets": "all", "algorithm": "locon"}, ATTENTION + PROJECTIONS + RESNETS + OUTSIDE),
        ({"parts": ("text_encoder",)}, 12),
        ({"parts": ("text_encoder",), "targets": "attention"}, 8),
        ({"train_norms": True}, ATTENTION + PROJECTIONS + 3 * 2 + 4 * 2 + 1),
        ({"parts": ("text_encoder",), "train_norms": True}, 12),
        ({"algorithm": "ia3"}, 6),
    ],
)
def test_presets(settings, count):
    assert len(paths(**settings)) == count


def test_norms_of_text_encoders_are_left_as_they_are():
    """No file format has keys for them."""
    parts = tiny_parts()
    parts["text_encoder"].text_model.encoder.layers[0].layer_norm1 = nn.LayerNorm(64)
    settings = NetworkSettings(rank=4, parts=("text_encoder",), train_norms=True)
    made = Network.create(parts, "sd15", settings, seed=0)
    assert len(made.attachments) == 12


def test_patterns_choose_by_path_or_key():
    assert all("attn2.to_k" in path for path in paths(include=("*attn2.to_k",)))
    assert paths(include=("lora_unet_mid_block*",)) == [path for path in paths() if path.startswith("middle_block")]
    left = paths(exclude=("*to_q", "*to_v"))
    assert left == [path for path in paths() if not path.endswith(("to_q", "to_v"))]


@pytest.mark.parametrize("option", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_is_named(option):
    with pytest.raises(ValueError, match=rf"{option} pattern '\*attn9\*'"):
        paths(**{option: ("*attn9*",)})


def test_excluding_everything_is_refused():
    with pytest.raises(ValueError, match="at least one module"):
        paths(exclude=("*",))


def test_a_missing_part_is_named_but_sd15_has_no_second_encoder():
    unet = {"unet": tiny_parts()["unet"]}
    with pytest.raises(ValueError, match="got text_encoder; connect"):
        Network.create(unet, "sd15", NetworkSettings(rank=4, parts=("unet", "text_encoder")), 0)
    made = Network.create(unet, "sd15", NetworkSettings(rank=4, parts=("unet", "text_encoder_2")), 0)
    assert {attachment.target.part for attachment in made.attachments} == {"unet"}


def test_weight_or_rank_zero_means_no_module_and_weights_reach_the_groups():
    weights = BlockWeights(lbw="M:0, OUT:0.5")
    made = Network.create(tiny_parts(), "sd15", NetworkSettings(rank=4, block_weights=weights), 0)
    assert not any(attachment.target.path.startswith("middle") for attachment in made.attachments)
    by_weight = {}
    for group in made.parameter_groups():
        by_weight.setdefault(group.block_weight, []).extend(name for name, _ in group.parameters)
    assert set(by_weight) == {0.5, 1.0}
    assert all("up_blocks" in name for name in by_weight[0.5])
    without = BlockWeights(ranks="IN:0, OUT:8")
    made = Network.create(tiny_parts(), "sd15", NetworkSettings(rank=4, alpha=2, block_weights=without), 0)
    sizes = {a.target.block: (a.adapter.rank, a.adapter.alpha) for a in made.attachments}
    assert sizes == {"M00": (4, 2.0), "OUT00": (8, 4.0)}


def test_everything_off_is_refused():
    with pytest.raises(ValueError, match="at least one block"):
        paths(block_weights=BlockWeights(lbw="NONE"))


def test_convolutions_have_their_own_rank_and_by_default_the_same_scale():
    def sizes(**settings):
        settings = NetworkSettings(algorithm="locon", rank=8, alpha=4.0, **settings)
        made = Network.create(tiny_parts(), "sd15", settings, 0)
        return {(a.adapter.rank, a.adapter.alpha) for a in made.attachments if a.adapter.layer.is_spatial}

    assert sizes() == {(8, 4.0)}
    assert sizes(conv_rank=2) == {(2, 1.0)}
    assert sizes(conv_rank=2, conv_alpha=5.0) == {(2, 5.0)}
    assert sizes(conv_rank=2, conv_alpha=0) == {(2, 2.0)}


@pytest.mark.parametrize("algorithm", ["loha", "lokr", "dylora", "glora"])
@pytest.mark.parametrize(
    "given", [{"conv_rank": 4}, {"conv_alpha": 2.0}, {"block_weights": BlockWeights(conv_ranks="IN:4")}]
)
def test_a_size_given_to_convolutions_brings_them_in(algorithm, given):
    def spatial(**settings):
        made = Network.create(tiny_parts(), "sd15", NetworkSettings(algorithm=algorithm, rank=8, **settings), 0)
        return {a.target.path for a in made.attachments if a.adapter.layer.is_spatial}

    assert spatial() == set()
    assert spatial(**given) == spatial(targets="blocks") != set()


def test_rank_above_a_layer_is_refused_but_latent_layers_take_what_fits():
    with pytest.raises(ValueError, match="rank.*48.*input_blocks"):
        paths(rank=50)
    made = Network.create(tiny_parts(), "sd15", NetworkSettings(algorithm="locon", rank=16, alpha=8, targets="all"), 0)
    last = next(a.adapter for a in made.attachments if a.target.path == "out.2")
    assert (last.rank, last.alpha) == (4, 2.0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rank": 0}, "rank must be at least 1, got 0"),
        ({"alpha": -1.0}, "alpha must be 0"),
        ({"algorithm": "lohra"}, "algorithm must be one of lora"),
        ({"targets": "most"}, "targets must be one of"),
        ({"parts": ()}, "parts must name"),
        ({"parts": ("vae",)}, "parts must be one of"),
        ({"dropout": 1.0}, "dropout must be 0 or more and below 1"),
        ({"factor": 0}, "factor must be -1"),
        ({"conv_rank": 4}, "choose locon"),
        ({"conv_alpha": 4.0}, "conv_alpha.*choose locon"),
        ({"block_weights": BlockWeights(conv_ranks="OUT:4")}, "conv_ranks.*choose locon"),
        ({"algorithm": "loha", "conv_rank": 4, "targets": "attention"}, "conv_rank.*choose targets blocks"),
        ({"algorithm": "lokr", "conv_alpha": 1.0, "targets": "all_linear"}, "conv_alpha.*choose targets blocks"),
        ({"algorithm": "full", "dropout": 0.1}, "dropout works with lora"),
        ({"algorithm": "dylora", "rank_dropout": 0.1}, "rank_dropout works with"),
        ({"algorithm": "boft", "weight_decompose": True}, "weight_decompose works with"),
        ({"decompose_both": True}, "decompose_both works with lokr only, got algorithm lora"),
        ({"algorithm": "lokr", "full_matrix": True, "decompose_both": True}, "exclude each other"),
        ({"weight_decompose": True, "dropout": 0.1}, "dropout must be 0 with weight_decompose"),
        ({"algorithm": "dylora", "rank": 6, "block_size": 4}, "rank must be a multiple of block_size 4, got 6"),
    ],
)
def test_bad_settings_are_refused_by_name(settings, message):
    with pytest.raises(ValueError, match=message):
        NetworkSettings(**settings)


@pytest.mark.parametrize(
    ("algorithm", "size", "message"), [("boft", 27, "27 channels"), ("diag-oft", 29, "29 channels")]
)
def test_blocks_that_cannot_split_a_layer_are_refused_by_name(algorithm, size, message):
    unet = nn.Module()
    unet.middle_block = nn.ModuleList([nn.Module(), nn.Module()])
    unet.middle_block[1].proj_in = nn.Linear(8, size)
    with pytest.raises(ValueError, match=message):
        Network.create({"unet": unet}, "sdxl", NetworkSettings(algorithm=algorithm), 0)


def test_boft_takes_the_smallest_block_that_works_where_the_wanted_one_is_too_small():
    unet = nn.Module()
    unet.middle_block = nn.ModuleList([nn.Module(), nn.Module()])
    unet.middle_block[1].proj_in = nn.Linear(8, 320)
    made = Network.create({"unet": unet}, "sdxl", NetworkSettings(algorithm="boft", rank=4), 0)
    assert made.adapters[0].oft_blocks.shape == (6, 32, 10, 10)


def test_creation_inside_inference_mode_gives_trainable_parameters():
    with torch.inference_mode():
        parts = tiny_parts()
        made = Network.create(parts, "sd15", NetworkSettings(rank=4), 0)
        back = Network.from_tensors(parts, "sd15", made.state_dict())
    assert not any(p.is_inference() for network in (made, back) for _, p in network.named_parameters())
