"""Numbers that a format cannot hold are refused before a run begins."""

from dataclasses import replace

import pytest
import torch
from pack.tests.support.toy_model import run, toy_request
from pack.training.networks.settings import NetworkSettings
from pack.training.optimizers.build import check_optimizer
from pack.training.optimizers.settings import OptimizerSettings
from pack.training.run.saver import SaveSettings
from pack.training.session.trained_network import check_fits


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({"alpha": 70_000.0}, "^alpha"),
        ({"algorithm": "locon", "conv_rank": 4, "conv_alpha": 70_000.0}, "conv_alpha"),
        ({"rank": 64, "alpha": 10_000.0, "rank_stabilized": True}, r"^alpha .* \(80000 is written"),
    ],
)
def test_an_alpha_that_float16_holds_as_infinity_is_refused(settings, name):
    network = NetworkSettings(**settings)
    with pytest.raises(ValueError, match=rf"{name}.*") as caught:
        check_fits(network, torch.float16)
    assert "at most 65504 to be saved as float16" in str(caught.value) and "bfloat16 or float32" in str(caught.value)
    check_fits(network, torch.bfloat16)
    check_fits(network, torch.float32)


def test_it_is_refused_before_anything_is_made(tmp_path):
    request = toy_request(tmp_path, network=NetworkSettings(rank=4, alpha=70_000.0))
    with pytest.raises(ValueError, match="alpha.*65504"):
        run(replace(request, saving=SaveSettings(save_dtype="float16")))
    assert not list(request.root.iterdir()) and not request.base.num_images


@pytest.mark.parametrize("optimizer", ["AdamW", "Adafactor", "CAME", "Prodigy", "ScheduleFreeAdamW", "RAdam"])
@pytest.mark.parametrize("eps", ["0", "0.0", "1e-60", "-1e-8"])
def test_an_eps_that_divides_nothing_by_nothing_is_refused(optimizer, eps):
    rate = 1.0 if optimizer == "Prodigy" else 1e-3
    arguments = {"Adafactor": f"eps={eps},1e-3", "CAME": f"eps1={eps}"}.get(optimizer, f"eps={eps}")
    settings = OptimizerSettings(optimizer=optimizer, learning_rate=rate, arguments=arguments)
    with pytest.raises(ValueError, match="eps1?.*1.2e-38"):
        check_optimizer(settings)


def test_without_the_check_it_is_no_number_at_the_first_step():
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([parameter], lr=1e-3, eps=0.0)
    parameter.grad = torch.zeros(2)
    optimizer.step()
    assert bool(parameter.isnan().all())


def test_usual_eps_are_let_through():
    check_optimizer(OptimizerSettings(arguments="eps=1e-8"))
    check_optimizer(OptimizerSettings(optimizer="Adafactor", arguments="eps=1e-30,1e-3"))
    check_optimizer(OptimizerSettings(optimizer="ProdigyPlusScheduleFree", learning_rate=1.0, arguments="eps=None"))
