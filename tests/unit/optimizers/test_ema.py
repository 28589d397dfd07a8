"""The running average of a network."""

import pytest
import torch
from pack.training.optimizers.ema import Ema
from torch import nn


def parameters_of(module):
    return list(module.named_parameters())


def trained_steps(module, steps):
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(torch.randn(parameter.shape, generator=generator))
        yield step


def test_average_equals_the_weighted_sum_of_all_values():
    module = nn.Linear(3, 2)
    ema = Ema(parameters_of(module))
    reference = module.weight.detach().double().clone()
    for step in trained_steps(module, 20):
        ema.update(parameters_of(module), step, 0.6)
        decay = min(0.6, (1 + step) / (10 + step))
        reference = decay * reference + (1 - decay) * module.weight.detach().double()
    torch.testing.assert_close(ema.state()["weight"].double(), reference, rtol=0, atol=1e-6)


def test_the_start_is_forgotten():
    module = nn.Linear(1, 1)
    ema = Ema(parameters_of(module))
    nn.init.constant_(module.weight, 5.0)
    for step in range(30):
        ema.update(parameters_of(module), step, 0.999)
    assert ema.state()["weight"].item() == pytest.approx(5.0, abs=1e-3)


def test_applied_shows_the_average_and_gives_the_own_bits_back():
    module = nn.Linear(3, 2)
    ema = Ema(parameters_of(module))
    for step in trained_steps(module, 3):
        ema.update(parameters_of(module), step, 0.9)
    own = module.weight.detach().clone()
    with pytest.raises(RuntimeError, match="sampling"), ema.applied(parameters_of(module)):
        assert torch.equal(module.weight, ema.state()["weight"])
        raise RuntimeError("sampling failed")
    assert torch.equal(module.weight, own)
    assert not torch.equal(ema.state()["weight"], own)


def test_continued_average_has_the_same_bits():
    straight, stopped = nn.Linear(3, 2), nn.Linear(3, 2)
    stopped.load_state_dict(straight.state_dict())
    averages = []
    for module, stop in ((straight, None), (stopped, 4)):
        ema = Ema(parameters_of(module))
        for step in trained_steps(module, 9):
            if step == stop:
                saved, ema = ema.state(), Ema(parameters_of(module))
                ema.load_state(saved)
            ema.update(parameters_of(module), step, 0.8)
        averages.append(ema.state())
    assert all(torch.equal(averages[0][name], averages[1][name]) for name in averages[0])


def test_refuses_foreign_averages():
    with pytest.raises(ValueError, match="other"):
        Ema(parameters_of(nn.Linear(3, 2))).load_state({"other": torch.zeros(1)})


def test_a_decay_of_0_is_the_weights_themselves():
    module = nn.Linear(3, 2)
    ema = Ema(parameters_of(module))
    for step in trained_steps(module, 5):
        ema.update(parameters_of(module), step, 0.9 if step < 4 else 0.0)
    assert all(torch.equal(ema.state()[name], parameter) for name, parameter in parameters_of(module))
