"""Weights that the host streams to the card (dynamic VRAM): trained right, and read no more often than layers run."""

import pytest
import torch
from pack.tests.host.device.graphs import load
from pack.tests.host.device.steps import base_model, train_steps
from pack.tests.support.cases import chosen
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

NETWORKS = {
    "lora": {},
    "dora": {"weight_decompose": True},
    "ia3": {"algorithm": "ia3", "targets": "all"},
    "glora": {"algorithm": "glora"},
    "diag-oft": {"algorithm": "diag-oft"},
    "boft": {"algorithm": "boft"},
    "full": {"algorithm": "full"},
    "dora of loha": {"algorithm": "loha", "weight_decompose": True},
    "dora of lokr": {"algorithm": "lokr", "factor": 8, "weight_decompose": True},
    "dora of convolutions": {"algorithm": "locon", "conv_rank": 4, "weight_decompose": True},
    "biases": {"algorithm": "full", "train_bias": True},
    "norms": {"train_norms": True, "targets": "all"},
}


@pytest.fixture(scope="module")
def streaming(comfy):
    from pack.tests.support.second_device import streaming

    streaming.enable()
    return streaming.streaming


def settings_of(name):
    return NetworkSettings(**{"rank": 4, "alpha": 4.0, "parts": ("unet",), "targets": "blocks", **NETWORKS[name]})


def steps_of(comfy, device, streaming, name, budget):
    """Losses of three steps, and what each step after the first sent up, read from the file, and left held."""
    loaded, seen, before = load(comfy, "sd15"), [], []

    def each(step):
        before.append((device.counts().bytes_up, streaming.misses))

    streaming.restart(budget)
    base = base_model(loaded)
    trained = train_steps(base, settings_of(name), 3, each)
    seen = [b - a for (a, _), (b, _) in zip(before[1:], before[2:], strict=False)]
    misses = [b - a for (_, a), (_, b) in zip(before[1:], before[2:], strict=False)]
    assert streaming.pinned == 0
    return trained, max(seen), max(misses)


@pytest.mark.parametrize("name", chosen(NETWORKS, ["dora"]))
def test_weights_that_stay_are_read_from_the_file_once(comfy, device, streaming, name):
    trained, bytes_up, misses = steps_of(comfy, device, streaming, name, 1 << 40)
    assert misses == 0
    assert bytes_up < 600_000, "latents and texts alone"
    assert all(torch.isfinite(gradient).all() for gradient in trained.gradients.values())


@pytest.mark.full
@pytest.mark.parametrize("name", NETWORKS)
def test_weights_without_room_give_the_same_numbers(comfy, device, streaming, name):
    kept = steps_of(comfy, device, streaming, name, 1 << 40)[0]
    streamed, _, misses = steps_of(comfy, device, streaming, name, 0)
    assert misses > 0
    assert streamed.losses == pytest.approx(kept.losses, rel=1e-5)
    for key, gradient in kept.gradients.items():
        assert torch.allclose(streamed.gradients[key], gradient, rtol=1e-3, atol=1e-6)
