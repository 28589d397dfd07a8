"""Rates of groups, and everything that is refused before training starts."""

import sys
from dataclasses import replace

import pytest
import torch
from pack.tests.unit.optimizers.problem import Group
from pack.training.optimizers import (
    OPTIMIZERS,
    OptimizerSettings,
    build_optimizer,
    check_optimizer,
    effective_rates,
    set_rates,
)
from torch import nn

ADAPTIVE = [spec.name for spec in OPTIMIZERS if spec.is_adaptive]


def group(**fields):
    parameter = nn.Parameter(torch.ones(2, 2))
    return Group([(f"weight {id(parameter)}", parameter)], **fields)


UNET, UP, TEXT = group(), group(is_up=True), group(part="text_encoder_2")


def rates(settings, groups):
    return {g["label"]: pytest.approx(g["lr"]) for g in build_optimizer(settings, groups).param_groups}


def test_one_rate_for_all_by_default():
    assert effective_rates(build_optimizer(OptimizerSettings(), [UNET, UP, TEXT])) == {
        "unet": 2e-4,
        "text_encoder_2": 2e-4,
    }


def test_parts_have_rates_of_their_own_and_zero_freezes():
    both = OptimizerSettings(unet_lr=3e-4, text_encoder_lr=5e-5)
    assert rates(both, [UNET, TEXT]) == {"unet": 3e-4, "text_encoder_2": 5e-5}
    frozen = build_optimizer(replace(both, text_encoder_lr=0.0), [UNET, TEXT])
    assert [g["label"] for g in frozen.param_groups] == ["unet"]
    with pytest.raises(ValueError, match="nothing to train"):
        build_optimizer(replace(both, text_encoder_lr=0.0), [TEXT])


def test_block_weights_and_loraplus_multiply():
    settings = OptimizerSettings(learning_rate=1e-4, loraplus_ratio=16)
    weak = group(block_weight=0.5, is_up=True)
    assert rates(settings, [UNET, UP, weak]) == {"unet": 1e-4, "unet up": 16e-4, "unet x0.5 up": 8e-4}


@pytest.mark.parametrize(("compensation", "rate"), [("none", 2e-4), ("sqrt", 16e-4), ("full", 128e-4)])
def test_alpha_compensation_undoes_the_scale(compensation, rate):
    settings = OptimizerSettings(alpha_compensation=compensation)
    found = build_optimizer(settings, [group(scale=1 / 64)]).param_groups
    assert [g["lr"] for g in found] == [pytest.approx(rate)]


def test_compensated_start_is_as_fast_as_without_a_scale():
    """Growth of scale * up @ down over the first steps, with a gradient that does not change."""
    gradient = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))

    def grown(scale, compensation):
        down = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
        up = nn.Parameter(torch.zeros(6, 3))
        settings = OptimizerSettings(alpha_compensation=compensation, weight_decay=0.0)
        optimizer = build_optimizer(settings, [Group([("up", up)], scale=scale)])
        for _ in range(5):
            up.grad = scale * gradient @ down.T
            optimizer.step()
        return (scale * up @ down).norm().item()

    assert grown(1 / 64, "none") == pytest.approx(grown(1.0, "none") / 64, rel=1e-3)
    assert grown(1 / 64, "full") == pytest.approx(grown(1.0, "none"), rel=1e-3)


def test_schedule_keeps_the_proportions():
    optimizer = build_optimizer(OptimizerSettings(unet_lr=4e-4), [UNET, TEXT])
    for multiplier in (0.0, 0.25, 1.0):
        set_rates(optimizer, multiplier)
        assert effective_rates(optimizer) == {"unet": multiplier * 4e-4, "text_encoder_2": multiplier * 2e-4}


@pytest.mark.parametrize("name", ADAPTIVE)
@pytest.mark.parametrize(
    ("fields", "groups", "message"),
    [
        ({"text_encoder_lr": 0.5}, [UNET, TEXT], "unet_lr and text_encoder_lr must be equal.*AdamW"),
        ({}, [UNET, group(block_weight=0.5)], "block weights must all be equal.*ranks"),
        ({"loraplus_ratio": 16.0}, [UNET, UP], "loraplus_ratio must be 1"),
        ({"alpha_compensation": "sqrt"}, [UNET], "alpha_compensation must be none"),
        ({"learning_rate": 1e-4}, [UNET], "learning_rate must be from 0.05 .*got 0.0001; use 1"),
        ({"learning_rate": 20.0}, [UNET], "learning_rate must be .*got 20; use 1"),
    ],
)
def test_adaptive_optimizers_refuse_several_and_foreign_rates(name, fields, groups, message):
    settings = OptimizerSettings(**{"optimizer": name, "learning_rate": 1.0, **fields})
    with pytest.raises(ValueError, match=message):
        build_optimizer(settings, groups)


def test_what_no_network_can_change_is_refused_before_there_is_one():
    assert check_optimizer(OptimizerSettings()) == OptimizerSettings()
    for fields in (
        {"learning_rate": 0.5},
        {"arguments": "beta=1"},
        {"optimizer": "Prodigy"},
        {"optimizer": "Prodigy", "learning_rate": 1.0, "loraplus_ratio": 2.0},
        {"optimizer": "Adafactor", "arguments": "relative_step=True", "alpha_compensation": "full"},
    ):
        with pytest.raises(ValueError, match=r"learning_rate|does not take|loraplus_ratio|alpha_compensation"):
            check_optimizer(OptimizerSettings(**fields))


@pytest.mark.parametrize("name", ADAPTIVE)
def test_adaptive_optimizers_take_one_rate_and_frozen_parts(name):
    settings = OptimizerSettings(optimizer=name, learning_rate=1.0)
    assert effective_rates(build_optimizer(settings, [UNET, UP, TEXT])).keys() == {"network"}
    frozen = build_optimizer(replace(settings, text_encoder_lr=0.0), [UNET, TEXT])
    assert sum(len(g["params"]) for g in frozen.param_groups) == 1
    equal_blocks = [group(block_weight=0.5), group(block_weight=0.5, part="text_encoder")]
    assert effective_rates(build_optimizer(settings, equal_blocks)).keys() == {"network"}


@pytest.mark.parametrize(("name", "rate"), [("AdamW", 0.1), ("AdamW", 1.0), ("Lion", 0.01), ("CAME", 0.5)])
def test_rates_that_surely_destroy_are_refused(name, rate):
    with pytest.raises(ValueError, match=f"learning_rate.*{name}.*{rate:g}"):
        build_optimizer(OptimizerSettings(optimizer=name, learning_rate=rate), [UNET])


def test_unknown_arguments_are_refused_with_the_accepted_ones():
    with pytest.raises(ValueError, match=r"AdamW.*betaz.*betas.*weight_decay"):
        build_optimizer(OptimizerSettings(arguments="betaz=0.9,0.99"), [UNET])
    with pytest.raises(ValueError, match="does not take lr;"):
        build_optimizer(OptimizerSettings(arguments="lr=1.0"), [UNET])


def test_arguments_reach_the_optimizer():
    settings = OptimizerSettings(arguments="betas=0.8,0.9 weight_decay=0.5", weight_decay=0.1)
    found = build_optimizer(settings, [UNET]).param_groups[0]
    assert (found["betas"], found["weight_decay"]) == ((0.8, 0.9), 0.5)


@pytest.mark.parametrize(("name", "module", "package"), [("AdamW8bit", "bitsandbytes", "bitsandbytes")])
def test_a_missing_package_is_named(monkeypatch, name, module, package):
    for loaded in [key for key in sys.modules if key.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=f"{name}.*pip install {package}"):
        build_optimizer(OptimizerSettings(optimizer=name), [UNET])


@pytest.mark.parametrize("spelling", ["adamw", "ADAM-W", "Adam_W"])
def test_spelling_does_not_matter(spelling):
    assert type(build_optimizer(OptimizerSettings(optimizer=spelling), [UNET])) is torch.optim.AdamW


def test_unknown_optimizers_and_bad_values_are_refused_by_name():
    with pytest.raises(ValueError, match="optimizer.*ranger21.*'Gradient'"):
        OptimizerSettings(optimizer="Gradient")
    for fields in (
        {"learning_rate": 0.0},
        {"unet_lr": -1.0},
        {"text_encoder_lr": -1.0},
        {"weight_decay": -0.1},
        {"max_grad_norm": -1.0},
        {"loraplus_ratio": 0.0},
        {"ema_decay": 1.0},
        {"alpha_compensation": "half"},
    ):
        with pytest.raises(ValueError, match=f"{next(iter(fields))} must be"):
            OptimizerSettings(**fields)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("AdamW", "betas=0.9"), ("AdamW", "betas=0.9,1.5"), ("AdamW", "eps='a'"), ("Adafactor", "warmup_init=True")],
)
def test_values_an_optimizer_cannot_take_are_refused_before_anything_is_encoded(name, arguments):
    settings = OptimizerSettings(optimizer=name, arguments=arguments)
    for refuse in (check_optimizer, lambda settings: build_optimizer(settings, [UNET])):
        with pytest.raises(ValueError, match=f"arguments.*{name}.*{arguments.partition('=')[0]}"):
            refuse(settings)
