"""Runs that their optimizer destroys on the pocket model are stopped early, with the cause; others are let be."""

import re

import pytest
from pack.tests.support.cases import case
from pack.workbench.comparison.contestants import Contestant
from pack.workbench.comparison.trial import Scale, Trial, training_graph
from pack.workbench.examples.data import MASKS, add_example_data

pytestmark = pytest.mark.comfy

STEPS = 100
OBJECTIVES = {
    "masks": {"has_masks": True},
    "masks as sd-scripts": {"has_masks": True, "objective": {"is_mask_area_normalized": False}},
    "class images": {"has_class_images": True},
    "extra prior term": {
        "objective": {"prior_preservation": "extra_term", "trigger": "zorblax", "trigger_class": "creature"}
    },
    "huber": {"objective": {"loss_type": "huber"}},
    "late timesteps": {"objective": {"min_timestep": 600}},
    "LoHa": {"network": {"algorithm": "loha"}},
}


IN_ORDER_EVERY_DAY = "batch 1"
TOO_HIGH_EVERY_DAY = "masks as sd-scripts"
"""Each takes a quarter of a minute; the others run with --full. The judge itself is tested on losses alone."""


@pytest.fixture(scope="module")
def host(comfy, pocket_checkpoint):
    """With the dataset that the comparison trains on, its masks and class images."""
    add_example_data(comfy.base / "input")
    return comfy


def ended(host, name, rate, steps=STEPS, batch_size=4, has_masks=False, **contestant):
    """Status, and at which step it was stopped, of a training of the comparison without its measuring."""
    trial = Trial(
        contestant=Contestant(name=name, **contestant),
        rate=rate,
        seed=1,
        scale=Scale(steps=steps, batch_size=batch_size),
    )
    graph = training_graph(trial)
    del graph["held_out"], graph["train"]["inputs"]["validation_dataset"]
    graph["train"]["inputs"]["name"] = name
    if has_masks:
        graph["dataset"]["inputs"]["mask_folder"] = MASKS
    return host.run_graph(graph)


@pytest.mark.parametrize(
    ("optimizer", "rate", "latest", "cause"),
    [
        pytest.param(
            {"optimizer": "AdamW"},
            8e-3,
            70,
            r"learning rate \(0.008\) is too high .* Usual for AdamW: 0.0002",
            marks=pytest.mark.full,
        ),
        ({"optimizer": "AdamW"}, 2e-2, 12, r"learning rate \(0.02\) is too high"),
        pytest.param(
            {"optimizer": "CAME"},
            1e-3,
            20,
            r"learning rate \(0.001\) is too high .* Usual for CAME: 0.0001",
            marks=pytest.mark.full,
        ),
        ({"optimizer": "DAdaptAdam"}, 1.0, 30, r"step size that DAdaptAdam found .* alpha to 1.* use Prodigy"),
    ],
    ids=["AdamW, four times", "AdamW, ten times", "CAME", "DAdaptAdam"],
)
def test_a_destroyed_run_is_stopped_with_its_cause(host, optimizer, rate, latest, cause):
    name = f"destroyed {optimizer['optimizer']} {rate:g}"
    result = ended(host, name, rate, optimizer=optimizer)
    assert result.status == "error"
    found = re.search(
        r"training diverged: at step (\d+) the loss of the last \d+ samples is [\d.]+ times", result.error
    )
    assert found and int(found[1]) <= latest
    assert re.search(cause, result.error)
    assert not list((host.base / "output" / "loras" / name).glob("*.safetensors"))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        case((name, changes), is_everyday=name == IN_ORDER_EVERY_DAY)
        for name, changes in {
            "batch 1": {"batch_size": 1},
            "noise offset": {"objective": {"noise_offset": 0.1}},
            "no min-SNR": {"objective": {"min_snr_gamma": 0.0}},
            "dropout": {"network": {"algorithm": "locon", "dropout": 0.3, "rank_dropout": 0.2, "module_dropout": 0.2}},
            "text encoder": {"network": {"algorithm": "locon", "train_text_encoder": True}},
            **OBJECTIVES,
        }.items()
    ],
)
def test_a_run_in_order_is_let_be(host, name, changes):
    result = ended(host, name, 1e-3, steps=40, **changes)
    assert result.status == "success", result.error


@pytest.mark.parametrize(
    ("name", "changes"), [case(pair, is_everyday=pair[0] == TOO_HIGH_EVERY_DAY) for pair in OBJECTIVES.items()]
)
def test_a_rate_far_too_high_is_seen_whatever_is_trained_for(host, name, changes):
    result = ended(host, f"destroyed {name}", 2e-2, steps=60, **changes)
    assert result.status == "error"
    assert "training diverged" in result.error and "learning rate (0.02) is too high" in result.error
