"""Algorithms of the installed LyCORIS beside a layer: the library's numbers, this pack's contract."""

import random

import pytest
import torch
from lycoris.wrapper import network_module_dict
from pack.tests.support.tiny_networks import tiny_parts
from pack.training.networks.build import adapter_from_tensors, create_adapter
from pack.training.networks.lycoris_arguments import REFUSED, parsed, split_fields, takes
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings
from pack.training.networks.targets import Target
from pack.training.tools.deltas import delta_weight
from torch import nn

ALGOS = [name for name in network_module_dict if name not in REFUSED]
ON_KERNELS = [name for name in ALGOS if name != "tlora"]
"""The library's T-LoRA changes one pixel of a kernel alone, so it does not fit a 3x3 convolution."""
MORE = [
    "algo=locon use_tucker=True", "algo=locon use_scalar=True", "algo=locon bypass_mode=True",
    "algo=locon dora_wd=True", "algo=loha use_cp=True", "algo=loha dora_wd=True", "algo=lokr factor=4",
    "algo=lokr decompose_both=True", "algo=lokr unbalanced_factorization=True", "algo=lokr use_tucker=True",
    "algo=lokr full_matrix=True", "algo=diag-oft constraint=0.01", "algo=diag-oft rescaled=True",
    "algo=lokr bypass_mode=True", "algo=loha bypass_mode=True", "algo=ia3 train_on_input=True",
    "algo=tlora bypass_mode=True",
    "algo=tlora sig_type=last",
]  # fmt: skip
EVERY = [f"algo={name}" for name in ALGOS] + [text for text in MORE if text.split()[0][5:] in ALGOS]
"""Of the installed version: T-LoRA and (IA)^3 came after the oldest that is allowed."""
has_tlora = pytest.mark.skipif("tlora" not in ALGOS, reason="this version has no T-LoRA")


def layer_of(kind="linear"):
    torch.manual_seed(1)
    made = {"linear": lambda: nn.Linear(32, 48), "kernel": lambda: nn.Conv2d(32, 48, 3, padding=1)}[kind]
    return made().requires_grad_(False)


def input_of(kind="linear"):
    torch.manual_seed(2)
    return torch.randn(3, 5, 32) if kind == "linear" else torch.randn(3, 32, 6, 6)


def adapter_of(text, module, *, seed=3, **settings):
    settings = NetworkSettings(algorithm="lycoris", **{"rank": 8, "alpha": 4.0} | settings, lycoris_arguments=text)
    adapter = create_adapter(
        Target("unet", "to_k", "key", None, module), settings, None, torch.Generator().manual_seed(seed)
    )
    adapter.bind(adapter.draws, 0, settings.dropout, settings.rank_dropout)
    return adapter


def moved(adapter, by=0.05):
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=source) * by)
    return adapter


def kinds_of(text):
    return ["linear"] if "tlora" in text else ["linear", "kernel"]


cases = pytest.mark.parametrize(("text", "kind"), [(text, kind) for text in EVERY for kind in kinds_of(text)])


@cases
def test_nothing_is_changed_before_training(text, kind):
    module, x = layer_of(kind), input_of(kind)
    torch.testing.assert_close(adapter_of(text, module)(x, module), module(x), rtol=1e-5, atol=1e-6)


@cases
def test_beside_the_layer_is_as_the_library_would_do_in_its_place(text, kind):
    """The library's own forward with its module put before the layer, in its own way."""
    module, x = layer_of(kind), input_of(kind)
    adapter = moved(adapter_of(text, module))
    ours = adapter(x, module)
    adapter.module.org_module, adapter.module.org_forward = [module], module.forward
    theirs = adapter.module(x)
    assert (theirs - module(x)).abs().max() > 1e-4
    torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


@cases
def test_gradients_are_those_of_the_library(text, kind):
    module, x = layer_of(kind), input_of(kind)
    adapter = moved(adapter_of(text, module))
    parameters = list(adapter.parameters())
    ours = torch.autograd.grad(adapter(x, module).square().sum(), parameters)
    adapter.module.org_module, adapter.module.org_forward = [module], module.forward
    theirs = torch.autograd.grad(adapter.module(x).square().sum(), parameters)
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4 * float(other.abs().max()))


@cases
def test_the_file_holds_the_change(text, kind):
    """By the tools' formulas, and read back by this pack's own adapters."""
    module = layer_of(kind)
    adapter = moved(adapter_of(text, module))
    tensors, wanted = adapter.file_tensors(), adapter.delta_weight().detach()
    read = delta_weight(tensors, module.weight.detach())
    torch.testing.assert_close(read, wanted, rtol=1e-4, atol=1e-5 * float(wanted.abs().max()) + 1e-7)
    left = {name: tensor.clone() for name, tensor in tensors.items()}
    again = adapter_from_tensors(module, left)
    if again is not None and not left:  # what is left over is refused by name
        close = {"rtol": 1e-3, "atol": 1e-4 * float(wanted.abs().max())}
        torch.testing.assert_close(again.delta_weight().detach(), wanted, **close)


@has_tlora
def test_t_lora_is_saved_as_a_lora_of_twice_the_rank():
    tensors = moved(adapter_of("algo=tlora", nn.Linear(320, 320).requires_grad_(False))).file_tensors()
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
        "lora_up.weight": (320, 16), "lora_down.weight": (16, 320), "alpha": (),
    }  # fmt: skip


@has_tlora
@pytest.mark.parametrize("text", ["algo=tlora", "algo=tlora bypass_mode=True"])
def test_t_lora_leaves_each_sample_the_ranks_of_its_noise(text):
    module, x = layer_of(), input_of()
    adapter = moved(adapter_of(text, module))
    whole = [adapter(x[i : i + 1], module) for i in range(3)]
    adapter.train()
    adapter.draws.noise_B = torch.tensor([0.0, 0.5, 0.999])
    masked = adapter(x, module)
    torch.testing.assert_close(masked[:1], whole[0])
    assert not torch.allclose(masked[1:2], whole[1]) and not torch.allclose(masked[2:], whole[2])
    assert (masked[2] - module(x)[2]).norm() < (masked[1] - module(x)[1]).norm()
    masked.sum().backward()
    adapter.draws.noise_B = torch.tensor([0.999, 0.999, 0.0])
    torch.testing.assert_close(adapter(x, module)[2:], whole[2])


@pytest.mark.parametrize("text", ["algo=loha", "algo=locon bypass_mode=True", "algo=diag-oft"])
def test_draws_of_the_library_are_named_and_leave_the_global_generators(text):
    module, x = layer_of(), input_of()
    adapter = moved(adapter_of(text, module, rank_dropout=0.5)).train()

    def drawn(step):
        adapter.draws.begin(7, step, 0)
        return adapter(x, module).detach()

    torch.manual_seed(0)
    random.seed(0)
    before, own = torch.get_rng_state(), random.getstate()
    first, again, other = drawn(1), drawn(1), drawn(2)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state()) and own == random.getstate()
    parameters = list(adapter.parameters())
    adapter.draws.begin(7, 1, 0)
    one = torch.autograd.grad(adapter(x, module).square().sum(), parameters)
    adapter.draws.begin(7, 1, 0)
    two = torch.autograd.grad(adapter(x, module).square().sum(), parameters)
    assert all(map(torch.equal, one, two)), "the backward pass sees the masks of the forward pass"
    adapter.eval()
    torch.testing.assert_close(adapter.drawn_delta(), adapter.delta_weight())


def test_a_start_depends_on_its_seed_alone():
    module = layer_of()
    first, again, other = (list(adapter_of("algo=loha", module, seed=seed).parameters()) for seed in (3, 3, 4))
    assert all(map(torch.equal, first, again))
    assert not all(map(torch.equal, first, other))


@pytest.mark.parametrize("text", EVERY)
def test_a_change_is_scaled_down_to_a_norm(text):
    adapter = moved(adapter_of(text, layer_of()))
    norm = float(adapter.delta_norm())
    adapter.shrink(0.3)
    assert float(adapter.delta_norm()) == pytest.approx(0.3 * norm, rel=1e-3)


def test_half_precision_inputs_keep_a_small_change():
    module, x = layer_of().half(), input_of().half()
    adapter = moved(adapter_of("algo=loha", module), by=1e-2)
    plain = layer_of()
    wanted = moved(adapter_of("algo=loha", plain), by=1e-2).delta_weight().detach()
    torch.testing.assert_close(adapter.delta_weight().detach(), wanted, rtol=1e-3, atol=1e-8)
    assert adapter(x, module).dtype == torch.float16


def test_a_network_trains_resumes_and_saves():
    parts = tiny_parts()
    settings = NetworkSettings(algorithm="lycoris", rank=4, alpha=4.0, lycoris_arguments="algo=loha", targets="blocks")
    network, other = (Network.create(parts, "sd15", settings, 1) for _ in range(2))
    for (name, one), (same, two) in zip(network.named_parameters(), other.named_parameters(), strict=True):
        assert name == same and torch.equal(one, two)
    assert any(key.endswith("hada_w1_a") for key in network.state_dict())
    assert {group.is_up for group in network.parameter_groups()} == {False}
    ups = Network.create(parts, "sd15", NetworkSettings(algorithm="lycoris", lycoris_arguments="algo=locon"), 1)
    assert {group.is_up for group in ups.parameter_groups()} == {False, True}


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("algo=strange", "strange"),
        ("algo=full", "algorithm full"),
        ("algo=dylora", "algorithm dylora"),
        ("algo=loha constraint=1", "constraint"),
        ("algo=loha use_tucker", "use_tucker"),
        ("algo=loha use_tucker=perhaps", "perhaps"),
        ("algo=lokr factor=x", "factor"),
        ("algo=loha use_cp=True use_cp=False", "use_cp"),
        ("algo=locon dora_wd=True wd_on_output=True", "wd_on_output"),
        ("algo=loha loraplus_lr_ratio=4", "Optimizer"),
    ],
)
def test_what_cannot_be_is_refused_by_name(text, named):
    with pytest.raises(ValueError, match=named):
        NetworkSettings(algorithm="lycoris", lycoris_arguments=text)


def test_dropout_needs_the_library_s_bypass():
    with pytest.raises(ValueError, match="bypass_mode"):
        NetworkSettings(algorithm="lycoris", dropout=0.1)
    assert NetworkSettings(algorithm="lycoris", dropout=0.1, lycoris_arguments="bypass_mode=True")


def test_arguments_belong_to_their_algorithm():
    with pytest.raises(ValueError, match="lycoris_arguments works with lycoris only"):
        NetworkSettings(lycoris_arguments="algo=loha")


@cases
def test_what_is_computed_is_the_change_that_a_file_holds(text, kind):
    module, x = layer_of(kind), input_of(kind)
    adapter = moved(adapter_of(text, module))
    merged = layer_of(kind)
    merged.weight.data = module.weight + adapter.delta_weight().detach()
    torch.testing.assert_close(adapter(x, module), merged(x), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("text", ["algo=diag-oft bypass_mode=True", "algo=locon dora_wd=True bypass_mode=True"])
def test_a_bypass_that_computes_something_else_is_refused(text):
    with pytest.raises(ValueError, match="bypass_mode"):
        adapter_of(text, layer_of())


class Packed(nn.Linear):
    """A layer of the host whose weight cannot be copied."""

    def __deepcopy__(self, memo):
        raise RuntimeError("packed")


@pytest.mark.parametrize("algo", ["lokr", "loha", "locon"])
def test_a_bypass_is_tried_without_copying_the_frozen_layer(algo):
    torch.manual_seed(1)
    adapter_of(f"algo={algo} bypass_mode=True", Packed(32, 48).requires_grad_(False))


def test_files_hold_no_core_that_comfyui_s_loader_leaves_out():
    adapter = moved(adapter_of("algo=lokr factor=4 use_tucker=True", layer_of("kernel"), rank=2))
    assert "lokr_t2" in adapter.module.state_dict()
    assert set(adapter.file_tensors()) == {"lokr_w1", "lokr_w2_a", "lokr_w2_b", "alpha"}


@has_tlora
def test_a_layer_that_an_algorithm_does_not_fit_is_named():
    with pytest.raises(ValueError, match="tlora on to_k"):
        adapter_of("algo=tlora", layer_of("kernel"))


def test_what_is_a_setting_of_every_network_goes_there():
    text, fields = split_fields(
        "algo=loha preset=attn-mlp conv_dim=8 conv_alpha=1 rank_dropout=0.1 rs_lora=True use_cp=True"
    )
    assert text == "algo=loha use_cp=True"
    assert fields == {
        "targets": "attention_feed_forward", "conv_rank": 8, "conv_alpha": 1.0, "rank_dropout": 0.1,
        "rank_stabilized": True,
    }  # fmt: skip
    assert parsed(text).options == {"use_tucker": True}
    assert parsed("disable_conv_cp=False").options == {"use_tucker": True}
    assert split_fields("preset=unet-transformer-only") == (
        "", {"targets": "attention_feed_forward", "parts": ("unet",)}
    )  # fmt: skip
    assert split_fields("preset=full conv_dim=0 conv_alpha=0") == ("", {"targets": "all_linear"})
    for preset, advice in (("ia3", "algorithm ia3"), ("unet-convblock-only", "include"), ("my.toml", "exclude")):
        with pytest.raises(ValueError, match=f"preset.*{preset}.*{advice}"):
            split_fields(f"preset={preset}")


@pytest.mark.parametrize(
    "text",
    [
        "algo=lokr, factor=8", "algo=lokr,factor=8", "algo = lokr factor = 8", '"algo=lokr" "factor=8"',
        "algo=lokr\nfactor=8 \\",
        '--network_args "algo=lokr" "factor=8"', 'network_args = ["algo=lokr", "factor=8"]', "algo=lokr; factor=8;",
    ],
)  # fmt: skip
def test_arguments_are_read_as_they_stand_in_commands_and_files(text):
    assert split_fields(text) == ("algo=lokr factor=8", {})


def test_what_an_algorithm_accepts_and_does_nothing_with_is_refused():
    for text in ("algo=glora dora_wd=True", "algo=diag-oft use_tucker=True", "algo=boft use_scalar=True"):
        with pytest.raises(ValueError, match="does nothing|does not take"):
            parsed(text)
        parsed(text.replace("True", "False"))
    assert not takes("glora", "dora_wd") and takes("loha", "dora_wd")


@pytest.mark.parametrize(("text", "place"), [
    ("network_dim=8", "rank"), ("alpha=4", "alpha"), ("down_lr_weight=0,0,1", "Block Weights"),
    ("factor=8.5", "whole number"),
])  # fmt: skip
def test_what_is_set_elsewhere_is_said_with_the_place(text, place):
    with pytest.raises(ValueError, match=f"{text.partition('=')[0]}.*{place}"):
        parsed(f"algo=lokr {text}")
