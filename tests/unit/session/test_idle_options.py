"""An option that changes no weight beside the others is said on the node; one that does is not."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from pack.tests.support.person import Person
from pack.tests.support.pictures import subset
from pack.training.data.captions import CaptionSettings
from pack.training.data.dataset import Dataset, with_captions
from pack.training.networks.block_weights import BlockWeights
from pack.training.networks.settings import NetworkSettings
from pack.training.objective.settings import ObjectiveSettings
from pack.training.optimizers.schedules import ScheduleSettings
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.session.request import ValidationSettings

SCHEDULES = [
    ("cycles", 2, {"schedule": "cosine_with_restarts"}), ("power", 3.0, {"schedule": "polynomial"}),
    ("decay_steps", 0.9, {"schedule": "warmup_stable_decay"}), ("timescale", 1.0, {"schedule": "inverse_sqrt"}),
    ("min_ratio", 0.5, {"schedule": "cosine"}), ("warmup_from_min", True, {"warmup_steps": 2, "min_ratio": 0.5}),
]  # fmt: skip
OBJECTIVES = [
    ("huber_schedule", "constant", {"loss_type": "huber"}), ("huber_c", 0.5, {"loss_type": "smooth_l1"}),
    ("huber_scale", 2.0, {"loss_type": "huber"}), ("noise_offset_random", True, {"noise_offset": 0.1}),
    ("multires_noise_discount", 0.8, {"multires_noise_iterations": 4}),
    ("input_perturbation_random", True, {"input_perturbation": 0.1}),
    ("logit_mean", 1.0, {"timestep_distribution": "logit_normal"}),
    ("logit_std", 2.0, {"timestep_distribution": "logit_normal"}),
    ("prior_preservation_weight", 0.3, {"prior_preservation": "extra_term", "trigger": "mia"}),
    ("trigger_class", "woman", {"prior_preservation": "extra_term", "trigger": "mia"}),
]  # fmt: skip
CAPTIONS = [("keep_tags", 1, {"shuffle_tags": True}), ("tag_warmup_min", 3, {"tag_warmup_steps": 3.0})]
RATES = [
    ("text_encoder_lr", 1e-3, {"parts": ("unet", "text_encoder")}, {}), ("text_encoder_2_lr", 1e-3, None, {}),
    ("loraplus_ratio", 8.0, {}, {"algorithm": "ia3"}), ("alpha_compensation", "full", {"alpha": 1.0}, {"alpha": 4.0}),
]  # fmt: skip


@cache
def trained(captions=None, **settings):
    """Weights after three steps, and what the node says before."""
    with TemporaryDirectory() as folder:
        person = Person(Path(folder))
        data = with_captions(Dataset((subset([(64, 64), (64, 64)]),)), captions or CaptionSettings())
        result = person.queue(steps=3, dataset=data, **settings)
        return result.tensors, person.messages[0]


def is_same(some, others):
    return set(some) == set(others) and all(torch.equal(some[name], others[name]) for name in some)


def check(name, without, idle, needed, active):
    """Alone it is said and changes no bit; with what it needs it changes some and is not said."""
    (base, said), (alone, told) = trained(**without), trained(**idle)
    assert f"{name}: no effect" in told and name not in said and is_same(base, alone)
    if active is not None:
        (before, _), (after, told) = trained(**needed), trained(**active)
        assert name not in told and not is_same(before, after)


@pytest.mark.parametrize(("name", "value", "needs"), SCHEDULES)
def test_of_schedules(name, value, needs):
    def optimizer(**fields):
        return {"optimizer": OptimizerSettings(learning_rate=1e-2, schedule=ScheduleSettings(**fields))}

    check(name, optimizer(), optimizer(**{name: value}), optimizer(**needs), optimizer(**needs, **{name: value}))


@pytest.mark.parametrize(("name", "value", "needs"), OBJECTIVES)
def test_of_the_loss(name, value, needs):
    def objective(**fields):
        return {"objective": ObjectiveSettings(**fields), "captions": CaptionSettings(trigger="mia")}

    check(name, objective(), objective(**{name: value}), objective(**needs), objective(**needs, **{name: value}))


@pytest.mark.parametrize(("name", "value", "needs"), CAPTIONS)
def test_of_captions(name, value, needs):
    def captions(**fields):
        return {"captions": CaptionSettings(**fields)}

    check(name, captions(), captions(**{name: value}), None, None)
    assert name not in trained(**captions(**needs, **{name: value}))[1]


def test_of_validation_and_blocks():
    alone = {"validation": ValidationSettings(every=2), "network": network(zero_threshold=0.5)}
    told = trained(**alone)[1]
    assert "validate_every: no effect, it needs validation_share or validation_dataset" in told
    assert "zero_threshold: no effect, it needs down or mid or up or blocks" in told
    both = {"validation": ValidationSettings(every=2, share=0.5), "network": network(zero_threshold=0.5, mid="0.6")}
    assert "no effect" not in trained(**both)[1]


def network(**blocks):
    return NetworkSettings(rank=4, targets="attention", block_weights=BlockWeights(**blocks))


@pytest.mark.parametrize(("name", "value", "active", "idle"), RATES)
def test_of_rates(name, value, active, idle):
    def given(network, **fields):
        settings = NetworkSettings(**{"rank": 4, "alpha": 4.0, "targets": "attention", **network})
        return {"network": settings, "optimizer": OptimizerSettings(learning_rate=1e-2, **fields)}

    needed, acting = (None, None) if active is None else (given(active), given(active, **{name: value}))
    check(name, given(idle), given(idle, **{name: value}), needed, acting)
