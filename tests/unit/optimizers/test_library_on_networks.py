"""Every optimizer of the library that is let through trains a network of all shapes: matrices, kernels and vectors."""

import pytest
import torch
from pack.tests.support.tiny_networks import tiny_inputs, tiny_parts
from pack.tests.unit.optimizers.test_library import all_usable
from pack.training.networks import Network, NetworkSettings
from pack.training.optimizers import OptimizerSettings, build_optimizer, find_optimizer

STEPS = 20
RATES = {"kate": 1e-4}
"""Of one whose first steps are large; 0.001 for the others, 1 for those that find their step size."""
SETTINGS = NetworkSettings(
    algorithm="locon", rank=4, alpha=4.0, conv_rank=2, train_norms=True, include=("*middle_block*",)
)
"""Linear and 1 x 1 layers, 3 x 3 kernels, and the vectors of the normalization layers."""


@pytest.mark.parametrize("name", all_usable())
def test_stays_finite_and_learns(name):
    """Toward an output that differs a little: it gets nearer on the way, and never far from it.

    Near, not nearer, at the end: D-Adaptation and the like overshoot before they settle.
    """
    parts = tiny_parts()
    x, emb, context = tiny_inputs()
    network = Network.create(parts, "sd15", SETTINGS, seed=0)
    assert {parameter.ndim for _, parameter in network.named_parameters()} == {1, 2, 4}
    with torch.no_grad():
        target = parts["unet"](x, emb, context) + 0.3 * torch.randn(
            2, 4, 4, 4, generator=torch.Generator().manual_seed(2)
        )
    spec = find_optimizer(name)
    rate = 1.0 if spec.is_adaptive else RATES.get(name, 1e-3)
    optimizer = build_optimizer(OptimizerSettings(optimizer=name, learning_rate=rate), network.parameter_groups())
    network.attach()
    losses = []
    for _ in range(STEPS):
        optimizer.zero_grad()
        loss = ((parts["unet"](x, emb, context) - target) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    network.detach()
    assert all(bool(parameter.isfinite().all()) for _, parameter in network.named_parameters())
    assert min(losses[1:]) < losses[0]
    assert max(losses) < 10 * losses[0]
    assert any(bool(parameter.abs().max() > 0) for key, parameter in network.named_parameters() if "up" in key)
