"""Every option with every algorithm changes the trained bits, is refused, or is reported to have no effect."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from pack.tests.support.cases import combined
from pack.tests.support.tiny_networks import tiny_inputs, tiny_parts
from pack.training.networks.algorithms import NAMES
from pack.training.networks.idle import idle_notes
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings

CHANGES = {
    "rank": 4, "alpha": 0.5, "conv_rank": 4, "conv_alpha": 0.5, "rank_stabilized": True, "weight_decompose": True,
    "factor": 4, "full_matrix": True, "decompose_both": True, "block_size": 1, "train_bias": True, "train_norms": True,
    "dropout": 0.5, "rank_dropout": 0.5, "module_dropout": 0.5, "targets": "attention", "exclude": ("*to_q",),
}  # fmt: skip
WHOLE = [
    NetworkSettings(algorithm="lokr", rank=100000, alpha=0.0, targets="blocks"),
    NetworkSettings(algorithm="lokr", rank=2, alpha=2.0, full_matrix=True, targets="blocks"),
]


@cache
def trained(settings):
    """File tensors after three steps, and the notes on the settings."""
    unet = tiny_parts()["unet"]
    network = Network.create({"unet": unet}, "sd15", settings, 0)
    notes = idle_notes(settings, network)
    network.train()
    network.attach()
    parameters = [parameter for _, parameter in network.named_parameters()]
    for step in range(3):
        network.begin(0, step, 0)
        unet(*tiny_inputs()).square().mean().backward()
        with torch.no_grad():
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter -= 0.1 * parameter.grad / (parameter.grad.norm() + 1e-12)
                    parameter.grad = None
    network.detach()
    return network.state_dict(), " ".join(notes)


def is_same(some, others):
    """Alpha aside: files hold it, nothing is computed with it where it has no effect."""
    names = {name for name in {*some, *others} if not name.endswith(".alpha")}
    return all(name in some and name in others and torch.equal(some[name], others[name]) for name in names)


@pytest.mark.parametrize(("algorithm", "name"), combined(NAMES, CHANGES, 4))
def test_an_option_acts_is_refused_or_is_said_to_have_no_effect(algorithm, name):
    size = {"block_size": 2} if algorithm == "dylora" else {}
    settings = NetworkSettings(algorithm=algorithm, rank=2, alpha=2.0, targets="blocks", **size)
    try:
        changed = replace(settings, **{name: CHANGES[name]})
    except ValueError as refusal:
        assert name in str(refusal)
        return
    (before, _), (after, said) = trained(settings), trained(changed)
    assert is_same(before, after) == (f"{name}:" in said or f"{name}," in said)


@pytest.mark.parametrize("settings", WHOLE)
@pytest.mark.parametrize("name", ["rank_dropout", "rank_stabilized", "alpha", "module_dropout"])
def test_what_whole_factors_cannot_read_is_said(settings, name):
    (before, _), (after, said) = trained(settings), trained(replace(settings, **{name: CHANGES[name]}))
    assert is_same(before, after) == (f"{name}: no effect" in said)


def test_nothing_is_said_of_the_defaults():
    for algorithm in NAMES:
        settings = NetworkSettings(algorithm=algorithm)
        assert idle_notes(settings, Network.create({"unet": tiny_parts()["unet"]}, "sd15", settings, 0)) == []
