"""Dropouts and DyLoRA's blocks: drawn by name, only in training, right on average."""

import pytest
import torch
from pack.tests.support.tiny_networks import tiny_inputs, tiny_parts
from pack.tests.unit.networks.layers import layer_and_input, trained
from pack.training.networks import Network, NetworkSettings
from pack.training.networks.draws import Draws
from pack.training.networks.lora import LoraAdapter
from torch.utils.checkpoint import checkpoint

DROPPED = [
    {"algorithm": "locon", "dropout": 0.5, "rank_dropout": 0.3},
    {"algorithm": "lora", "module_dropout": 0.5},
    {"algorithm": "glora", "dropout": 0.3, "rank_dropout": 0.3},
    {"algorithm": "loha", "rank_dropout": 0.5},
    {"algorithm": "lokr", "rank": 2, "rank_dropout": 0.5},
    {"algorithm": "locon", "weight_decompose": True, "rank_dropout": 0.5},
    {"algorithm": "dylora", "block_size": 1},
]
cases = pytest.mark.parametrize("settings", DROPPED, ids=lambda s: "-".join(map(str, s.values())))


def attached(settings):
    parts = tiny_parts()
    made = Network.create(parts, "sd15", NetworkSettings(**{"rank": 4, **settings}), seed=3)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, parameter in made.named_parameters():
            parameter.add_(torch.randn(parameter.shape, generator=source) * 0.2)
    made.attach()
    return parts["unet"], made


@cases
def test_same_name_same_draw_and_off_when_not_training(settings):
    unet, made = attached(settings)
    state = torch.get_rng_state()
    with torch.no_grad():
        plain = unet(*tiny_inputs())
        made.train()
        made.begin(1, 7, 0)
        first = unet(*tiny_inputs())
        made.begin(1, 8, 0)
        other_step = unet(*tiny_inputs())
        made.begin(1, 7, 1)
        other_micro_step = unet(*tiny_inputs())
        made.begin(1, 7, 0)
        again = unet(*tiny_inputs())
        made.train(False)
        after = unet(*tiny_inputs())
    assert torch.equal(first, again) and torch.equal(plain, after)
    assert not torch.equal(first, plain)
    assert not torch.equal(first, other_step) or not torch.equal(first, other_micro_step)
    assert torch.equal(torch.get_rng_state(), state)


@cases
def test_checkpointing_gives_the_gradients_of_the_plain_pass(settings):
    gradients = []
    for run in (lambda f, *a: f(*a), lambda f, *a: checkpoint(f, *a, use_reentrant=False)):
        unet, made = attached(settings)
        made.train()
        made.begin(1, 7, 0)
        x, emb, context = tiny_inputs()
        run(unet, x.requires_grad_(True), emb, context).square().sum().backward()
        gradients.append({name: p.grad for name, p in made.named_parameters()})
    for name, grad in gradients[0].items():
        other = gradients[1][name]
        assert (grad is None) == (other is None)
        if grad is not None:
            torch.testing.assert_close(grad, other, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("option", ["dropout", "rank_dropout"])
def test_dropped_passes_average_to_the_whole_one(option):
    module, x = layer_and_input("linear")
    adapter = trained("lora", module)
    whole = adapter(x, module)
    draws = Draws()
    adapter.bind(draws, 0, **{"dropout": 0.0, "rank_dropout": 0.0, option: 0.5})
    adapter.train()
    total = torch.zeros_like(whole)
    for step in range(400):
        draws.begin(0, step, 0)
        total += adapter(x, module).detach()
    spread = (whole - module(x)).abs().max()
    assert (total / 400 - whole).abs().max() < 0.3 * spread


def test_module_dropout_leaves_the_layer_as_it_is_and_never_all_layers():
    _, made = attached({"algorithm": "lora", "module_dropout": 0.9})
    made.train()
    shares = []
    for step in range(200):
        made.begin(0, step, 0)
        dropped = [adapter.is_dropped for adapter in made.adapters]
        assert not all(dropped)
        shares.append(sum(dropped) / len(dropped))
    assert sum(shares) / len(shares) == pytest.approx(0.88, abs=0.04)
    module, x = layer_and_input("linear")
    adapter = trained("loha", module)
    adapter.is_dropped = True
    assert torch.equal(adapter(x, module), module(x))


def test_dylora_trains_the_drawn_block_on_top_of_the_ones_before():
    module, x = layer_and_input("linear")
    adapter = trained("dylora", module)
    adapter.train()
    adapter.begin_pass(0.99)
    assert adapter.block == 1
    output = adapter(x, module)
    torch.testing.assert_close(output, adapter.eval()(x, module))
    adapter.train()
    output.square().sum().backward()
    assert adapter.lora_down.grad[:2].abs().max() == 0 and adapter.lora_down.grad[2:].abs().min() > 0
    assert adapter.lora_up.grad[:, :2].abs().max() == 0 and adapter.lora_up.grad[:, 2:].abs().min() > 0


def test_dylora_cut_to_a_rank_is_what_that_rank_trained():
    module, x = layer_and_input("conv3x3")
    adapter = trained("dylora", module)
    cut = LoraAdapter.from_tensors(adapter.layer, dict(adapter.file_tensors_at(2))).double()
    adapter.train()
    adapter.begin_pass(0.0)
    torch.testing.assert_close(cut(x, module), adapter(x, module), rtol=1e-6, atol=1e-6)
