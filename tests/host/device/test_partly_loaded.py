"""Weights that the host leaves in the processor's memory and casts for each layer: --novram, or a small card."""

from contextlib import contextmanager

import pytest
import torch
from pack.tests.host.device.graphs import bytes_of_others, load
from pack.tests.host.device.steps import base_model, train_steps
from pack.tests.support.cases import case
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

NETWORKS = {
    "lora": {},
    "dora": {"weight_decompose": True},
    "locon": {"algorithm": "locon", "conv_rank": 4},
    "ia3": {"algorithm": "ia3", "targets": "all"},
    "glora": {"algorithm": "glora"},
    "diag-oft": {"algorithm": "diag-oft"},
    "full": {"algorithm": "full"},
    "norms": {"train_norms": True},
}


@contextmanager
def everything(management, device):
    yield


@contextmanager
def nothing(management, device):
    """As under --novram."""
    before, management.vram_state = management.vram_state, management.VRAMState.NO_VRAM
    try:
        yield
    finally:
        management.vram_state = before


@contextmanager
def a_part(management, device):
    """A card that has room for about half of the U-Net beside what the host keeps free."""
    with device.limited(int(management.minimum_inference_memory()) + (14 << 20)):
        yield


SPACES = {"novram": nothing, "small card": a_part}


def offloaded(patcher, device):
    """Bytes of a model's weights in the processor's memory, and on the device."""
    bytes_at = {"cpu": 0, device.NAME: 0}
    for parameter in patcher.model.parameters():
        bytes_at[parameter.device.type] += parameter.nbytes
    return bytes_at["cpu"], bytes_at[device.NAME]


def steps_of(comfy, device, family, settings, space):
    loaded = load(comfy, family)
    before = {name: weight.clone() for name, weight in loaded.model.model.state_dict().items()}
    with space(comfy.module("comfy.model_management"), device):
        places = []
        trained = train_steps(
            base_model(loaded), settings, 2, lambda step: places.append(offloaded(loaded.model, device))
        )
    after = loaded.model.model.state_dict()
    assert all(torch.equal(after[name].cpu(), weight) for name, weight in before.items())
    return trained, places


CASES = [
    *(("sd15", space, name, ("unet",)) for space in SPACES for name in NETWORKS),
    *(("sd15", space, "lora", ("unet", "text_encoder")) for space in SPACES),
    *(("sdxl", space, "lora", ("unet", "text_encoder", "text_encoder_2")) for space in SPACES),
]


EVERYDAY = [("sd15", "small card", "lora", ("unet", "text_encoder"))]


@pytest.mark.parametrize(
    ("family", "space", "name", "parts"), [case(each, is_everyday=each in EVERYDAY) for each in CASES]
)
def test_gradients_are_those_of_a_model_that_is_loaded_whole(comfy, device, family, space, name, parts):
    settings = NetworkSettings(**{"rank": 4, "alpha": 4.0, "parts": parts, "targets": "blocks", **NETWORKS[name]})
    whole, [(_, loaded), *_] = steps_of(comfy, device, family, settings, everything)
    assert loaded > 0
    assert bytes_of_others(comfy, device) == 0
    found, places = steps_of(comfy, device, family, settings, SPACES[space])
    assert all(cpu > 0 for cpu, _ in places)
    assert found.losses == whole.losses
    assert found.gradients.keys() == whole.gradients.keys()
    for key, gradient in whole.gradients.items():
        assert torch.equal(found.gradients[key], gradient), key
    assert bytes_of_others(comfy, device) == 0
