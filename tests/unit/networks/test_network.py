"""A network as a whole: attached, detached, named, saved, read back."""

import pytest
import torch
from pack.tests.support.tiny_networks import tiny_inputs, tiny_parts
from pack.training.networks import Network, NetworkSettings
from pack.training.networks.weight_norms import scale_weight_norms


def network(algorithm="locon", seed=3, **settings):
    parts = tiny_parts()
    settings = {"rank": 4, "alpha": 2.0, **settings}
    made = Network.create(parts, "sd15", NetworkSettings(algorithm=algorithm, **settings), seed)
    return parts, made


def randomize(made, scale=0.05):
    """Give every parameter a value, as training would."""
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, parameter in made.named_parameters():
            parameter.add_(torch.randn(parameter.shape, generator=source) * scale)


def test_fresh_network_changes_nothing_and_detached_leaves_nothing():
    parts, made = network()
    unet = parts["unet"]
    keys, attributes = set(unet.state_dict()), {name: set(vars(module)) for name, module in unet.named_modules()}
    base = unet(*tiny_inputs())
    made.attach()
    made.attach()
    assert set(unet.state_dict()) == keys
    torch.testing.assert_close(unet(*tiny_inputs()), base, rtol=0, atol=0)
    randomize(made)
    assert not torch.equal(unet(*tiny_inputs()), base)
    with made.disabled():
        assert torch.equal(unet(*tiny_inputs()), base)
    assert made.is_attached
    made.detach()
    made.detach()
    assert torch.equal(unet(*tiny_inputs()), base)
    assert {name: set(vars(module)) for name, module in unet.named_modules()} == attributes


def test_a_forward_that_was_there_before_comes_back():
    parts, made = network()
    module = parts["unet"].input_blocks[1][1].proj_in
    own = module.forward
    calls = []

    def hooked(x):
        calls.append(1)
        return own(x)

    module.forward = hooked
    made.attach()
    parts["unet"](*tiny_inputs())
    made.detach()
    assert calls and module.forward is hooked


@pytest.mark.full
def test_a_compiled_model_is_not_compiled_again_when_the_network_is_switched_off():
    parts, made = network("lora", targets="attention")
    graphs = []

    def backend(graph, _inputs):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(parts["unet"], backend=backend)
    randomize(made)
    made.attach()
    for _ in range(3):
        changed = compiled(*tiny_inputs())
        with made.disabled():
            assert not torch.equal(compiled(*tiny_inputs()), changed)
    assert len(graphs) == 2
    made.detach()


def test_strength_scales_the_change_linearly():
    parts, made = network("lora", targets="attention")
    unet = parts["unet"]
    module = unet.input_blocks[1][1].transformer_blocks[0].attn2.to_q
    x = torch.randn(3, 64)
    base = module(x)
    randomize(made)
    made.attach()
    full = module(x) - base
    made.strength = 0.25
    torch.testing.assert_close(module(x) - base, full * 0.25, rtol=1e-4, atol=1e-6)
    made.detach()


def test_start_depends_on_seed_and_key_alone():
    _, first = network("lora")
    _, again = network("locon")
    _, other = network("lora", seed=4)
    first_state, again_state, other_state = (dict(made.named_parameters()) for made in (first, again, other))
    assert set(first_state) < set(again_state)
    assert all(torch.equal(first_state[name], again_state[name]) for name in first_state)
    downs = [name for name in first_state if name.endswith("lora_down")]
    assert downs and not any(torch.equal(first_state[name], other_state[name]) for name in downs)


def test_file_round_trip_takes_rank_and_alpha_from_the_file():
    parts, made = network(conv_rank=2, conv_alpha=8.0, parts=("unet", "text_encoder"))
    randomize(made)
    file = made.state_dict()
    assert all(tensor.is_contiguous() and tensor.dtype == torch.float32 for tensor in file.values())
    back = Network.from_tensors(tiny_parts(), "sd15", file, NetworkSettings(rank=64, alpha=1.0))
    assert {key: tensor.tolist() for key, tensor in back.state_dict().items()} == {
        key: tensor.tolist() for key, tensor in file.items()
    }


def test_saved_tensors_are_copies():
    _, made = network()
    saved = made.state_dict()
    before = {name: tensor.clone() for name, tensor in saved.items()}
    randomize(made)
    assert all(torch.equal(saved[name], before[name]) for name in saved)


def test_foreign_keys_are_named_or_returned():
    parts, made = network()
    file = made.state_dict() | {"lora_unet_nowhere.lora_up.weight": torch.zeros(1)}
    with pytest.raises(ValueError, match="lora_unet_nowhere.lora_up.weight"):
        Network.from_tensors(parts, "sd15", file)
    unmatched = []
    back = Network.from_tensors(parts, "sd15", file, unmatched=unmatched)
    assert unmatched == ["lora_unet_nowhere.lora_up.weight"]
    assert back.state_dict().keys() == made.state_dict().keys()


def test_gradients_reach_float32_parameters_through_half_precision():
    parts, made = network(parts=("unet",))
    unet = parts["unet"].to(torch.bfloat16)
    made.attach()
    output = unet(*tiny_inputs(torch.bfloat16))
    assert output.dtype == torch.bfloat16
    output.float().square().mean().backward()
    for name, parameter in made.named_parameters():
        assert parameter.dtype == torch.float32
        if name.endswith("lora_up"):
            assert parameter.grad is not None and parameter.grad.dtype == torch.float32, name
            assert parameter.grad.abs().sum() > 0, name
    made.detach()


def test_groups_split_parts_and_roles_and_hold_every_parameter():
    _, made = network("lora", parts=("unet", "text_encoder"))
    groups = made.parameter_groups()
    assert {(group.part, group.is_up, group.block_weight) for group in groups} == {
        (part, is_up, 1.0) for part in ("unet", "text_encoder") for is_up in (True, False)
    }
    grouped = [id(parameter) for group in groups for _, parameter in group.parameters]
    assert sorted(grouped) == sorted(id(parameter) for _, parameter in made.named_parameters())


@pytest.mark.parametrize("algorithm", ["dylora", "ia3"])
def test_a_file_that_two_algorithms_share_goes_on_as_the_one_asked_for(algorithm):
    parts, made = network(algorithm)
    randomize(made)
    back = Network.from_tensors(parts, "sd15", made.state_dict(), made.settings)
    assert [type(adapter) for adapter in back.adapters] == [type(adapter) for adapter in made.adapters]
    for (name, parameter), (other_name, other) in zip(made.named_parameters(), back.named_parameters(), strict=True):
        assert name == other_name
        torch.testing.assert_close(parameter, other, rtol=1e-4, atol=1e-6)


def test_a_whole_difference_is_not_taken_for_factors():
    parts, made = network("full")
    randomize(made)
    back = Network.from_tensors(parts, "sd15", made.state_dict(), NetworkSettings(algorithm="ia3"))
    assert all(name.endswith(".diff") for name, _ in back.named_parameters())


def test_norms_are_brought_down_to_the_limit_and_reported():
    _, made = network(parts=("unet",))
    randomize(made, 0.5)
    norms = [float(adapter.delta_weight().detach().norm()) for adapter in made.adapters]
    limit = sorted(norms)[len(norms) // 2]
    report = scale_weight_norms(made.adapters, limit)
    wanted = [min(norm, limit) for norm in norms]
    assert report.keys_scaled == sum(norm > limit * (1 + 1e-6) for norm in norms)
    assert report.max_norm == pytest.approx(limit, rel=1e-4)
    assert report.mean_norm == pytest.approx(sum(wanted) / len(wanted), rel=1e-4)
    assert [float(adapter.delta_weight().detach().norm()) for adapter in made.adapters] == pytest.approx(
        wanted, rel=1e-3
    )
