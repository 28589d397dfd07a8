"""What alpha / rank leaves of a learning rate, and that the suggested remedy makes up for it."""

from dataclasses import replace

import pytest
import torch
from pack.tests.unit.optimizers.problem import WIDTH, regression
from pack.training.networks.settings import NetworkSettings
from pack.training.optimizers import OptimizerSettings, build_optimizer
from pack.training.recipes.damping import (
    describe_damping,
    describe_network_scale,
    effective_rate,
    is_weak,
    network_of_file,
)

KOHYAS = NetworkSettings(rank=32, alpha=1.0)


def test_scale_times_rate_is_what_acts():
    assert effective_rate(KOHYAS, OptimizerSettings(learning_rate=1e-4)) == pytest.approx(1e-4 / 32)
    assert effective_rate(KOHYAS, OptimizerSettings(unet_lr=3e-4)) == pytest.approx(3e-4 / 32)
    full = OptimizerSettings(learning_rate=1e-4, alpha_compensation="full")
    assert effective_rate(KOHYAS, full) == pytest.approx(1e-4)
    stable = NetworkSettings(rank=64, alpha=8.0, rank_stabilized=True)
    assert effective_rate(stable, OptimizerSettings(learning_rate=1e-4)) == pytest.approx(1e-4)
    assert effective_rate(KOHYAS, OptimizerSettings(optimizer="Prodigy", learning_rate=1.0)) is None
    assert effective_rate(NetworkSettings(algorithm="full"), OptimizerSettings()) is None


@pytest.mark.parametrize(
    ("network", "optimizer", "is_said"),
    [
        (KOHYAS, OptimizerSettings(learning_rate=1e-4), True),
        (NetworkSettings(rank=16, alpha=1.0), OptimizerSettings(learning_rate=1e-4), True),
        (KOHYAS, OptimizerSettings(optimizer="Lion", learning_rate=3e-5), True),
        (KOHYAS, OptimizerSettings(learning_rate=3.2e-3), False),
        (KOHYAS, OptimizerSettings(learning_rate=1e-4, alpha_compensation="full"), False),
        (KOHYAS, OptimizerSettings(optimizer="Prodigy", learning_rate=1.0), False),
        (NetworkSettings(), OptimizerSettings(), False),
        (NetworkSettings(), OptimizerSettings(learning_rate=1e-6), False),
    ],
)
def test_a_rate_that_alpha_leaves_next_to_nothing_of_is_said(network, optimizer, is_said):
    assert is_weak(network, optimizer) == is_said
    assert ("next to nothing" in describe_damping(network, optimizer)) == is_said


def test_the_rate_and_the_option_that_make_up_for_it_are_named():
    text = describe_damping(KOHYAS, OptimizerSettings(learning_rate=1e-4))
    assert "0.0032" in text and "alpha_compensation" in text and "3.13e-06" in text
    assert "0.0312" in describe_network_scale(KOHYAS) and "32 times" in describe_network_scale(KOHYAS)
    assert describe_network_scale(NetworkSettings()) == "" == describe_damping(NetworkSettings(), OptimizerSettings())
    assert "overfits" in describe_network_scale(NetworkSettings(rank=4, alpha=16.0))


def grown(rate, compensation="none", scale=1.0 / 32):
    """Size of the change after a few steps at a scale."""
    problem = regression()
    groups = [replace(group, scale=scale) for group in problem.groups()]
    optimizer = build_optimizer(OptimizerSettings(learning_rate=rate, alpha_compensation=compensation), groups)
    for step in range(8):
        inputs = torch.randn(32, WIDTH, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        ((inputs @ (problem.change - scale * problem.up @ problem.down).T) ** 2).mean().backward()
        optimizer.step()
    return float(scale * (problem.up @ problem.down).detach().norm())


def test_what_is_named_makes_up_for_it():
    whole, damped = grown(1e-4, scale=1.0), grown(1e-4)
    assert damped < whole / 25
    assert grown(1e-4 * 32) == pytest.approx(whole, rel=0.1)
    assert grown(1e-4, "full") == pytest.approx(whole, rel=0.1)


def test_convolutions_with_an_alpha_of_their_own_are_named():
    network = NetworkSettings(algorithm="locon", rank=16, alpha=16.0, conv_rank=32, conv_alpha=1.0)
    assert "k x k convolutions 0.0312" in describe_network_scale(network)
    text = describe_damping(network, OptimizerSettings(learning_rate=1e-4))
    assert "convolutions" in text and "next to nothing" in text and "conv_alpha 32" in text
    assert not describe_damping(network, OptimizerSettings(optimizer="Prodigy", learning_rate=1.0))
    assert not describe_damping(network, OptimizerSettings(learning_rate=1e-4, alpha_compensation="full"))
    both = NetworkSettings(algorithm="locon", rank=32, alpha=1.0, conv_rank=8, conv_alpha=8.0)
    text = describe_damping(both, OptimizerSettings(learning_rate=1e-4))
    assert "0.0032" in text and "convolutions: effective rate 0.0001" in text
    same = NetworkSettings(algorithm="locon", rank=16, alpha=16.0, conv_rank=8, conv_alpha=8.0)
    assert not describe_network_scale(same) and not describe_damping(same, OptimizerSettings())


def file_of(rank, alpha, name="lora_unet_down_blocks_0_attentions_0_proj_in"):
    return {
        f"{name}.lora_down.weight": torch.ones(rank, 8), f"{name}.lora_up.weight": torch.ones(8, rank),
        f"{name}.alpha": torch.tensor(alpha),
    }  # fmt: skip


def test_a_lora_that_is_trained_further_has_its_own_scale():
    found = network_of_file(file_of(32, 1.0), ("unet",))
    assert (found.rank, found.alpha, found.parts) == (32, 1.0, ("unet",))
    assert "next to nothing" in describe_damping(found, OptimizerSettings(learning_rate=1e-4))
    other = "lora_unet_down_blocks_0_attentions_0_proj_out"
    assert network_of_file({**file_of(32, 1.0), **file_of(4, 4.0, other)}, ("unet",)) is None
    assert network_of_file(file_of(32, 0.0), ("unet",)) is None
