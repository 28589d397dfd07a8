"""Whole training graphs on the second device: they train, leave nothing behind, and a step asks little of the card."""

from dataclasses import dataclass

import pytest
from pack.tests.host.device.graphs import bytes_of_others, trained, training_graph
from pack.tests.support.cases import chosen

pytestmark = pytest.mark.comfy

MOST_WAITS = 1
READING = "training/loop/parallel.py"
"""Where the losses and the gradient norm are read."""
MUCH_NOISE = {"noise_offset": 0.05, "multires_noise_iterations": 3, "loss_type": "huber"}
DROPOUTS = {"dropout": 0.1, "rank_dropout": 0.1, "module_dropout": 0.1}


@dataclass
class Step:
    """One step as the device saw it."""

    counts: object
    places: list[str]


@pytest.fixture
def steps(device, monkeypatch):
    """Every step that is trained in the test."""
    from pack.training.loop import trainer

    seen = []
    train_step = trainer.train_step

    def counted(job, state):
        before = device.counts()
        with device.listening() as waits:
            report = train_step(job, state)
        seen.append(Step(device.counts() - before, [wait.place for wait in waits]))
        return report

    monkeypatch.setattr(trainer, "train_step", counted)
    return seen


NETWORKS = {
    "lora": {"algorithm": "lora"},
    "locon": {"algorithm": "locon", "conv_rank": 4, "dropout": 0.2, "rank_dropout": 0.2},
    "dora": {"algorithm": "locon", "weight_decompose": True},
    "loha": {"algorithm": "loha", "targets": "blocks"},
    "lokr": {"algorithm": "lokr", "factor": 8, "targets": "blocks"},
    "dylora": {"algorithm": "dylora", "block_size": 2, "targets": "blocks"},
    "tlora": {"algorithm": "tlora"},
    "ia3": {"algorithm": "ia3", "targets": "all"},
    "glora": {"algorithm": "glora", "targets": "blocks"},
    "full": {"algorithm": "full", "train_bias": True, "targets": "all"},
    "diag-oft": {"algorithm": "diag-oft", "targets": "blocks"},
    "boft": {"algorithm": "boft", "targets": "blocks"},
    "norms": {"algorithm": "lora", "train_norms": True},
}


OF_MANY = chosen(NETWORKS, ["lora"])
"""One always runs; the others are the same on another algorithm."""


@pytest.mark.parametrize("name", OF_MANY)
def test_every_algorithm_trains_unet_and_text_encoder(comfy, device, steps, name):
    graph = training_graph(comfy, f"algorithm {name}", network={"train_text_encoder": True, **NETWORKS[name]})
    assert "3 steps" in trained(comfy, graph)
    # every pass of a step is waited for: one more where float16 overflowed
    assert all(place.startswith(READING) for step in steps[1:] for place in step.places), steps[1].places
    assert max(step.counts.waits for step in steps[1:]) <= 2 * MOST_WAITS
    assert bytes_of_others(comfy, device) == 0


@pytest.mark.full
def test_sdxl_trains_with_both_text_encoders(comfy, device, steps):
    network = {"train_text_encoder": True, "train_text_encoder_2": True, "targets": "blocks"}
    graph = training_graph(comfy, "sdxl", "sdxl", network=network)
    assert "3 steps" in trained(comfy, graph)
    assert max(step.counts.waits for step in steps[1:]) <= MOST_WAITS, steps[1].places
    assert bytes_of_others(comfy, device) == 0


@pytest.mark.parametrize("family", chosen(["sd15", "sdxl"], ["sd15"]))
def test_text_encoders_on_the_processor_train_where_they_are(comfy, device, steps, family):
    network = {"train_text_encoder": True, "train_text_encoder_2": family == "sdxl", "targets": "blocks"}
    graph = training_graph(comfy, f"text on the processor {family}", family, network=network, clip_device="cpu")
    assert "3 steps" in trained(comfy, graph)
    # their backward pass needs the device's gradients
    assert max(step.counts.waits for step in steps[1:]) <= 1 + MOST_WAITS, steps[1].places


@pytest.mark.parametrize("objective", chosen([{}, MUCH_NOISE], [MUCH_NOISE]))
def test_a_step_waits_once_and_sends_up_no_weights(comfy, device, steps, objective):
    graph = training_graph(comfy, f"counts {len(objective)}", objective=objective, steps=3, gradient_checkpointing="on")
    trained(comfy, graph)
    latents, texts = 2 * 4 * 8 * 8 * 4, 2 * 77 * 768 * 4
    for step in steps[1:]:
        assert step.counts.waits <= MOST_WAITS, step.places
        assert step.counts.bytes_up <= 2 * latents + texts + 1000


PRIOR = {"prior_preservation": "extra_term", "trigger": "hat"}
MUCH = {
    "averages and norms": (2, {"optimizer": {"ema_decay": 0.9}, "objective": {"scale_weight_norms": 0.01}}),
    "Prodigy": (4, {"optimizer": {"optimizer": "Prodigy", "learning_rate": 1.0}}),  # its own reads its step size
    "prior": (2, {"objective": PRIOR}),
    "text encoder and a prior": (2, {"network": {"train_text_encoder": True}, "objective": PRIOR}),
    "dora": (1, {"network": {"weight_decompose": True}}),
    "finer checkpointing": (1, {"gradient_checkpointing": "finer"}),
    "no checkpointing": (1, {"gradient_checkpointing": "off"}),
    "tlora": (1, {"network": {"algorithm": "tlora"}}),
}
"""Most waits of a step, and inputs."""


@pytest.mark.full
@pytest.mark.parametrize("what", MUCH)
def test_nothing_else_waits_or_sends_up_weights(comfy, device, steps, what):
    most_waits, inputs = MUCH[what]
    trained(comfy, training_graph(comfy, f"waits {what}", **inputs))
    for step in steps[1:]:
        assert step.counts.waits <= most_waits, step.places
        assert step.counts.bytes_up < 2_000_000, "latents and texts alone"


@pytest.mark.full
@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_no_float64_is_asked_of_the_device_in_a_whole_run(comfy, device, family):
    graph = training_graph(
        comfy, f"no float64 {family}", family, network={"train_text_encoder": True, "targets": "blocks"}, steps=2,
        optimizer={"optimizer": "Prodigy", "learning_rate": 1.0, "ema_decay": 0.9}, validation_share=0.34,
        objective={"scale_weight_norms": 0.01, "prior_preservation": "extra_term", "trigger": "hat"},
    )  # fmt: skip
    with device.without_float64():
        said = trained(comfy, graph)
    assert "2 steps" in said and "no preview" not in said


def test_dropout_is_drawn_without_waiting(comfy, device, steps):
    trained(comfy, training_graph(comfy, "counts dropout", network=DROPOUTS, steps=3))
    assert max(step.counts.waits for step in steps[1:]) <= MOST_WAITS, steps[1].places
