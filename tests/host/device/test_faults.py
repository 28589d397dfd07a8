"""Where a card differs from a processor: where things lie, what it cannot compute, what a pass must not touch."""

from types import SimpleNamespace

import pytest
import torch
from pack.tests.host.device.graphs import load
from pack.tests.host.device.steps import base_model, train_steps
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

UNET = NetworkSettings(rank=4, alpha=4.0, parts=("unet",))
BOTH = NetworkSettings(rank=4, alpha=4.0, parts=("unet", "text_encoder"))


@pytest.fixture
def loaded(comfy, device):
    return load(comfy, "sd15")


def names_loaded(comfy):
    return {type(each.model.model).__name__ for each in comfy.module("comfy.model_management").current_loaded_models}


def test_a_device_without_float64_trains(device, loaded):
    with device.without_float64():
        assert train_steps(base_model(loaded), UNET).losses[0] > 0


def test_training_makes_its_device_the_current_one(comfy, device, loaded):
    model, clip, vae = loaded
    model.load_device = torch.device("npu:1")
    seen = []
    train_steps(base_model(loaded), UNET, each=lambda step: seen.append(torch.npu.current_device()))
    assert seen == [1]
    assert torch.npu.current_device() == 0
    assert device.used(1) > 0


def test_what_a_preview_loaded_leaves_the_device_again(comfy, device, loaded):
    from pack.nodes.comfy_bridge.previews import HostSampler
    from pack.training.watch.previews import PreviewSettings

    model, clip, vae = loaded
    base = base_model(loaded)
    sampler = HostSampler(model, clip, vae, False, base.reclaim)
    settings = PreviewSettings(prompts=("red",), width=64, height=64, steps=1, cfg=1.0, sampler="euler")
    with base.training(False):
        before, alone = device.used(), names_loaded(comfy)
        sampler("red", settings)
        assert names_loaded(comfy) == alone
        assert device.used() <= before


def test_trained_text_encoders_are_not_loaded_again_at_every_step(comfy, device, loaded, monkeypatch):
    management = comfy.module("comfy.model_management")
    calls = []
    load_models = management.load_models_gpu
    monkeypatch.setattr(management, "load_models_gpu", lambda *a, **k: (calls.append(1), load_models(*a, **k))[1])
    train_steps(base_model(loaded), BOTH, steps=2, each=lambda step: calls.clear())
    assert calls == []


def test_a_fixed_random_state_of_no_other_device_is_read(device, loaded):
    from pack.nodes.comfy_bridge.previews import HostSampler
    from pack.training.watch.previews import PreviewSettings

    touched = []
    torch.npu.get_rng_state, own = lambda index=None: touched.append(index) or torch.zeros(1), torch.npu.get_rng_state
    try:
        HostSampler(*loaded, False)(
            "red", PreviewSettings(prompts=("red",), width=64, height=64, steps=1, cfg=1.0, sampler="euler")
        )
    finally:
        torch.npu.get_rng_state = own
    assert {torch.device(f"npu:{i}" if isinstance(i, int) else i).index for i in touched} <= {0}


def test_reduced_sums_of_the_hosts_fast_option_are_off_while_training(device, loaded):
    matmul = torch.backends.cuda.matmul
    seen = []
    before, matmul.allow_fp16_accumulation = matmul.allow_fp16_accumulation, True
    try:
        train_steps(base_model(loaded), UNET, each=lambda step: seen.append(matmul.allow_fp16_accumulation))
        assert seen == [False]
        assert matmul.allow_fp16_accumulation is True
    finally:
        matmul.allow_fp16_accumulation = before


def test_directml_is_refused_in_words(device, loaded):
    model, clip, vae = loaded
    model.load_device = SimpleNamespace(type="privateuseone", index=0)
    with pytest.raises(ValueError, match="model.*DirectML"):
        base_model(loaded)
