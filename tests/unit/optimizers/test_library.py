"""Every optimizer of the library either resumes from a saved state with the same bits or is refused with a reason."""

import pytest
import pytorch_optimizer
import torch
from pack.tests.support.cases import chosen
from pack.tests.unit.optimizers.problem import regression
from pack.training.optimizers import (
    OptimizerSettings,
    build_optimizer,
    find_optimizer,
    load_optimizer_state,
    optimizer_state,
)


def usable():
    for name in pytorch_optimizer.get_supported_optimizers():
        try:
            find_optimizer(name)
        except ValueError:
            continue
        yield name


EVERYDAY = frozenset(
    [
        "adafactor",
        "adamw",
        "adan",
        "came",
        "dadaptadam",
        "kate",
        "lamb",
        "lion",
        "prodigy",
        "ranger",
        "schedulefreeadamw",
        "sgd",
        "shampoo",
        "sm3",
        "soap",
    ]
)
"""One of each kind of state: none, moments, factors, distances, averages, preconditioners, one a dimension."""


def all_usable():
    """Every one nightly, some every day."""
    names = [*usable()]
    assert set(names) >= EVERYDAY
    return chosen(names, EVERYDAY)


@pytest.mark.parametrize("name", all_usable())
def test_continues_with_the_same_bits(name):
    rate = 1.0 if find_optimizer(name).is_adaptive else 1e-3
    settings = OptimizerSettings(optimizer=name, learning_rate=rate)
    straight = regression()
    optimizer = build_optimizer(settings, straight.groups())
    for step in range(3):
        straight.step(optimizer, step)
    state = optimizer_state(optimizer)
    continued = straight.copy()
    following = build_optimizer(settings, continued.groups())
    load_optimizer_state(following, *state)
    for step in range(3, 6):
        straight.step(optimizer, step)
        continued.step(following, step)
    assert torch.equal(straight.up, continued.up)
    assert torch.equal(straight.down, continued.down)


def test_most_can_be_used_and_each_other_one_has_its_reason():
    names = pytorch_optimizer.get_supported_optimizers()
    assert len([*usable()]) > 90
    for name in set(names) - set(usable()):
        with pytest.raises(ValueError, match="needs more of a train loop|saved exactly|matrices alone|from no change"):
            find_optimizer(name)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("lbfgs", "needs more of a train loop"),
        ("SophiaH", "needs more of a train loop"),
        ("kron", "saved exactly"),
        ("SpectralSphere", "trains matrices alone"),
        ("Nero", "cannot grow from no change"),
    ],
)
def test_others_are_refused_with_the_reason(name, reason):
    with pytest.raises(ValueError, match=f"optimizer {name} .*{reason}.*AdamW"):
        OptimizerSettings(optimizer=name)
