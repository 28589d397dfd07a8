"""Every named optimizer learns, reports its learning rate, and resumes from a saved state with the same bits."""

import json

import pytest
import torch
from pack.tests.unit.optimizers.problem import regression
from pack.training.optimizers import (
    OPTIMIZERS,
    OptimizerSettings,
    build_optimizer,
    effective_rates,
    load_optimizer_state,
    no_decay_note,
    optimizer_state,
    set_rates,
    use_evaluation_weights,
    use_training_weights,
)
from safetensors.torch import load, save

SETTINGS = {
    "AdamW": OptimizerSettings(learning_rate=0.02),
    "Adafactor": OptimizerSettings(optimizer="Adafactor", learning_rate=0.02),
    "Adafactor momentum": OptimizerSettings(optimizer="Adafactor", learning_rate=0.02, arguments="beta1=0.9"),
    "Lion": OptimizerSettings(optimizer="Lion", learning_rate=0.005),
    "CAME": OptimizerSettings(optimizer="CAME", learning_rate=0.02),
    "Prodigy": OptimizerSettings(optimizer="Prodigy", learning_rate=1.0),
    "Prodigy without bias correction": OptimizerSettings(
        optimizer="Prodigy", learning_rate=1.0, arguments="use_bias_correction=False d_coef=2"
    ),
    "DAdaptAdam": OptimizerSettings(optimizer="DAdaptAdam", learning_rate=1.0),
    "ScheduleFreeAdamW": OptimizerSettings(optimizer="ScheduleFreeAdamW", learning_rate=0.05),
    "ProdigyPlusScheduleFree": OptimizerSettings(optimizer="ProdigyPlusScheduleFree", learning_rate=1.0),
    "of the library": OptimizerSettings(optimizer="adan", learning_rate=0.02),
}
each_optimizer = pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)


def through_a_file(optimizer):
    """The state as it comes back from disk."""
    tensors, data = optimizer_state(optimizer)
    return load(save(tensors)), json.loads(json.dumps(data, allow_nan=False))


@each_optimizer
def test_learns_a_low_rank_change(settings):
    problem = regression()
    optimizer = build_optimizer(settings, problem.groups())
    before = problem.loss(0).item()
    for step in range(250):
        problem.step(optimizer, step)
    use_evaluation_weights(optimizer)
    assert problem.loss(0).item() < 0.02 * before


@each_optimizer
def test_continued_run_has_the_same_bits(settings):
    straight = regression()
    stopped = straight.copy()
    optimizer = build_optimizer(settings, straight.groups())
    for step in range(12):
        set_rates(optimizer, 1.0 / (1 + step))
        straight.step(optimizer, step)

    optimizer = build_optimizer(settings, stopped.groups())
    for step in range(5):
        set_rates(optimizer, 1.0 / (1 + step))
        stopped.step(optimizer, step)
    saved = through_a_file(optimizer)
    continued = stopped.copy()
    optimizer = build_optimizer(settings, continued.groups())
    load_optimizer_state(optimizer, *saved)
    for step in range(5, 12):
        set_rates(optimizer, 1.0 / (1 + step))
        continued.step(optimizer, step)

    assert torch.equal(straight.down, continued.down)
    assert torch.equal(straight.up, continued.up)


@each_optimizer
def test_looking_at_the_evaluation_weights_changes_no_bit(settings):
    quiet = regression()
    watched = quiet.copy()
    for problem in (quiet, watched):
        optimizer = build_optimizer(settings, problem.groups())
        for step in range(8):
            if problem is watched:
                use_evaluation_weights(optimizer)
                use_evaluation_weights(optimizer)
                use_training_weights(optimizer)
            problem.step(optimizer, step)
    assert torch.equal(quiet.up, watched.up)
    assert torch.equal(quiet.down, watched.down)


@pytest.mark.parametrize("name", ["ScheduleFreeAdamW", "ProdigyPlusScheduleFree"])
def test_schedule_free_is_judged_by_other_weights_than_it_steps_from(name):
    problem = regression()
    optimizer = build_optimizer(SETTINGS[name], problem.groups())
    for step in range(30):
        problem.step(optimizer, step)
    training = problem.up.detach().clone()
    use_evaluation_weights(optimizer)
    assert not torch.equal(training, problem.up)
    with pytest.raises(AssertionError, match="training weights"):
        optimizer_state(optimizer)
    use_training_weights(optimizer)
    assert torch.equal(training, problem.up)


@pytest.mark.parametrize("name", ["Prodigy", "DAdaptAdam", "ProdigyPlusScheduleFree"])
def test_adaptive_optimizers_report_the_rate_they_found(name):
    problem = regression()
    optimizer = build_optimizer(SETTINGS[name], problem.groups())
    start = effective_rates(optimizer)["network"]
    for step in range(40):
        problem.step(optimizer, step)
    set_rates(optimizer, 0.5)
    found = effective_rates(optimizer)["network"]
    assert found == pytest.approx(0.5 * optimizer.param_groups[0]["d"])
    assert found > 100 * start


def test_adafactor_reports_the_rate_it_finds():
    settings = OptimizerSettings(optimizer="Adafactor", arguments="relative_step=True warmup_init=True")
    problem = regression()
    optimizer = build_optimizer(settings, problem.groups())
    for step in range(20):
        set_rates(optimizer, 0.5)
        problem.step(optimizer, step)
    assert effective_rates(optimizer) == {"network": pytest.approx(20e-6)}


def test_kept_state_takes_up_the_settings_of_the_next_stage():
    problem = regression()
    optimizer = build_optimizer(SETTINGS["AdamW"], problem.groups())
    problem.step(optimizer, 0)
    following = build_optimizer(OptimizerSettings(learning_rate=1e-5, weight_decay=0.5), problem.groups())
    load_optimizer_state(following, *optimizer_state(optimizer))
    group = following.param_groups[0]
    assert (group["lr"], group["base_lr"], group["weight_decay"]) == (1e-5, 1e-5, 0.5)
    old, new = optimizer.state[problem.up], following.state[problem.up]
    assert torch.equal(old["exp_avg"], new["exp_avg"])
    assert old["exp_avg"] is not new["exp_avg"]


def test_state_of_another_optimizer_is_refused():
    problem = regression()
    saved = optimizer_state(build_optimizer(SETTINGS["AdamW"], problem.groups()))
    other = build_optimizer(SETTINGS["Lion"], problem.groups())
    with pytest.raises(ValueError, match="Lion.*AdamW.*keep_optimizer_state"):
        load_optimizer_state(other, *saved)


def test_kept_state_follows_the_parameters_when_groups_are_cut_differently():
    problem = regression()
    one_group = build_optimizer(SETTINGS["AdamW"], problem.groups())
    problem.step(one_group, 0)
    cut = build_optimizer(OptimizerSettings(loraplus_ratio=4), problem.groups()[::-1])
    load_optimizer_state(cut, *optimizer_state(one_group))
    assert len(cut.param_groups) == 2
    for parameter in (problem.up, problem.down):
        assert torch.equal(cut.state[parameter]["exp_avg"], one_group.state[parameter]["exp_avg"])


def test_state_of_another_network_is_refused():
    problem = regression()
    tensors, data = optimizer_state(build_optimizer(SETTINGS["AdamW"], problem.groups()))
    data["parameters"] = {"elsewhere": data["parameters"]["up"]}
    with pytest.raises(ValueError, match="none of its parameters"):
        load_optimizer_state(build_optimizer(SETTINGS["AdamW"], problem.groups()), tensors, data)


@pytest.mark.parametrize("spec", OPTIMIZERS, ids=lambda spec: spec.name)
def test_a_weight_decay_acts_or_is_said_not_to(spec):
    """With and without decay beside the gradient, where an optimizer has the choice."""
    for arguments in ("", "weight_decouple=False"):
        ends = []
        for decay in (0.0, 0.3):
            problem = regression()
            settings = OptimizerSettings(
                optimizer=spec.name, learning_rate=spec.usual_rate, weight_decay=decay, arguments=arguments
            )
            try:
                optimizer = build_optimizer(settings, problem.groups())
            except ValueError:
                break  # not installed, or without the choice
            for step in range(20):
                problem.step(optimizer, step)
            ends.append(problem.up.detach().clone())
        else:
            assert torch.equal(*ends) == bool(no_decay_note(settings)), arguments
