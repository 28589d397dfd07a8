"""Runs that their optimizer destroys on the pocket model are stopped early, with the cause; others are let be."""

import re

import pytest
from pack.tests.comparison.contestants import Contestant
from pack.tests.comparison.trial import Scale, Trial, training_graph
from pack.tests.pocket.characters import CHARACTERS, write_oc_dataset

pytestmark = pytest.mark.comfy

STEPS = 100


@pytest.fixture(scope="module")
def host(comfy, pocket_checkpoint):
    """With the dataset that the comparison trains on."""
    write_oc_dataset(comfy.base / "input" / "zorblax", CHARACTERS["zorblax"])
    return comfy


def ended(host, name, rate, steps=STEPS, batch_size=4, **contestant):
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
    return host.run_graph(graph)


@pytest.mark.parametrize(
    ("optimizer", "rate", "latest", "cause"),
    [
        ({"optimizer": "AdamW"}, 8e-3, 70, r"learning rate \(0.008\) is too high .* Usual for AdamW: 0.0002"),
        ({"optimizer": "AdamW"}, 2e-2, 12, r"learning rate \(0.02\) is too high"),
        ({"optimizer": "CAME"}, 1e-3, 20, r"learning rate \(0.001\) is too high .* Usual for CAME: 0.0001"),
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
        ("batch 1", {"batch_size": 1}),
        ("noise offset", {"objective": {"noise_offset": 0.1}}),
        ("no min-SNR", {"objective": {"min_snr_gamma": 0.0}}),
        ("dropout", {"network": {"algorithm": "locon", "dropout": 0.3, "rank_dropout": 0.2, "module_dropout": 0.2}}),
        ("text encoder", {"network": {"algorithm": "locon", "train_text_encoder": True}}),
    ],
)
def test_a_run_in_order_is_let_be(host, name, changes):
    result = ended(host, name, 1e-3, steps=40, **changes)
    assert result.status == "success", result.error
