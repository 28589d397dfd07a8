"""What a training step asks of a card: waits of the host, bytes sent up, kernels launched."""

import gc
from dataclasses import dataclass

import pytest
from pack.tests.host.device.graphs import trained, training_graph

pytestmark = pytest.mark.comfy

MOST_WAITS = 2
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
    gc.collect()
    return seen


@pytest.mark.parametrize(
    "objective", [{}, {"noise_offset": 0.05, "multires_noise_iterations": 3, "loss_type": "huber"}]
)
def test_a_step_waits_once_and_sends_up_no_weights(comfy, device, steps, objective):
    graph = training_graph(comfy, f"counts {len(objective)}", objective=objective, steps=4, gradient_checkpointing="on")
    trained(comfy, graph)
    latents, texts = 2 * 4 * 8 * 8 * 4, 2 * 77 * 768 * 4
    for step in steps[1:]:
        assert step.counts.waits <= MOST_WAITS, step.places
        assert step.counts.bytes_up <= 2 * latents + texts + 1000


def test_dropout_is_drawn_without_waiting(comfy, device, steps):
    trained(comfy, training_graph(comfy, "counts dropout", network=DROPOUTS, steps=3))
    assert max(step.counts.waits for step in steps[1:]) <= MOST_WAITS, steps[1].places
