"""The library's optimizers step as those of the authors' own packages."""

import dadaptation
import prodigyopt
import pytest
import schedulefree
import torch
from pack.tests.unit.optimizers.problem import regression
from pack.training.optimizers import OptimizerSettings, build_optimizer

PAIRS = {
    "Prodigy": (
        OptimizerSettings(optimizer="Prodigy", learning_rate=1.0),
        lambda parameters: prodigyopt.Prodigy(parameters, lr=1.0, weight_decay=0.01, use_bias_correction=True),
    ),
    "Prodigy as other trainers quote it": (
        OptimizerSettings(
            optimizer="Prodigy",
            learning_rate=1.0,
            arguments="decouple=True weight_decay=0.02 d_coef=2 use_bias_correction=True safeguard_warmup=True "
            "betas=0.9,0.99",
        ),
        lambda parameters: prodigyopt.Prodigy(
            parameters,
            lr=1.0,
            decouple=True,
            weight_decay=0.02,
            d_coef=2,
            use_bias_correction=True,
            safeguard_warmup=True,
            betas=(0.9, 0.99),
        ),
    ),
    "DAdaptAdam": (
        OptimizerSettings(optimizer="DAdaptAdam", learning_rate=1.0),
        lambda parameters: dadaptation.DAdaptAdam(parameters, lr=1.0, decouple=True, weight_decay=0.01),
    ),
    "ScheduleFreeAdamW": (
        OptimizerSettings(optimizer="ScheduleFreeAdamW", learning_rate=0.01),
        lambda parameters: schedulefree.AdamWScheduleFree(parameters, lr=0.01, weight_decay=0.01, foreach=False),
    ),
    "AdamW": (OptimizerSettings(learning_rate=0.01), lambda parameters: torch.optim.AdamW(parameters, lr=0.01)),
}


@pytest.mark.parametrize(("settings", "reference"), PAIRS.values(), ids=PAIRS)
def test_same_path_as_the_original(settings, reference):
    ours = regression()
    theirs = ours.copy()
    our_optimizer = build_optimizer(settings, ours.groups())
    their_optimizer = reference([theirs.down, theirs.up])
    if hasattr(their_optimizer, "train"):
        their_optimizer.train()
    for step in range(40):
        ours.step(our_optimizer, step)
        theirs.step(their_optimizer, step)
    assert (ours.up - theirs.up).norm() < 0.005 * ours.up.norm()
