"""What alpha / rank leaves of a learning rate, and that the suggested remedy makes up for it."""

from dataclasses import replace

import pytest
import torch
from pack.tests.unit.optimizers.problem import WIDTH, regression
from pack.training.networks.settings import NetworkSettings
from pack.training.optimizers import OptimizerSettings, build_optimizer
from pack.training.recipes.damping import describe_damping, describe_network_scale, effective_rate, is_weak

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
