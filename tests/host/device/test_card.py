"""What a card refuses is refused by the second device, and training does not ask for it.

Where things lie, what a device cannot compute, what a pass must not touch.
"""

import gc
from types import SimpleNamespace

import pytest
import torch
from pack.tests.host.device.graphs import load
from pack.tests.host.device.steps import base_model, train_steps
from pack.training.loop.gradients import clip_and_read
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy


def test_tensors_of_two_devices_meet_in_no_operation(device):
    here, there = torch.ones(3, device=device.DEVICE), torch.ones(3)
    for operation in (lambda: here + there, lambda: torch.stack([here, there]), lambda: here.copy_(here @ there)):
        with pytest.raises(RuntimeError, match="same device"):
            operation()
    with pytest.raises(RuntimeError, match="same device"):
        here + torch.ones(3, device="npu:1")
    assert (here * torch.tensor(2.0)).tolist() == [2.0] * 3, "a number of the processor may come along"
    assert here[torch.tensor([0, 2])].tolist() == [1.0] * 2, "as an index may"


def test_memory_is_no_number_before_its_use_and_limited(device):
    assert torch.empty(4, device=device.DEVICE).isnan().all()
    before = device.used()
    with device.limited(before + 1000), pytest.raises(torch.OutOfMemoryError):
        torch.zeros(1000, device=device.DEVICE)
    kept = torch.zeros(1000, device=device.DEVICE)
    assert device.used() == before + 4000
    del kept
    gc.collect()
    assert device.used() == before
    with device.failing_after(2, "words of a driver"):
        torch.zeros(1, device=device.DEVICE), torch.zeros(1, device=device.DEVICE)
        with pytest.raises(RuntimeError, match="words of a driver"):
            torch.zeros(1, device=device.DEVICE)


def test_kernels_waits_and_copies_are_counted(device):
    tensors = [torch.ones(3, device=device.DEVICE) for _ in range(300)]
    before = device.counts()
    torch._foreach_mul_(tensors, 2.0)
    tensors[0].view(3, 1).t()
    assert device.counts().launches - before.launches == 3, "a card's kernel takes 110 tensors at once; views are none"
    before = device.counts()
    with device.listening() as waits:
        tensors[0].sum().item()
        torch.ones(4).to(device.DEVICE)
        torch.ones(4).pin_memory().to(device.DEVICE, non_blocking=True)
    found = device.counts() - before
    assert (found.waits, found.copies_up, found.bytes_up) == (2, 2, 32)
    assert len(waits) == 2 and "test_card.py" in waits[0].place


def test_products_of_halves_are_summed_in_float32(device):
    x, weight = torch.randn(8, 2560).half(), torch.randn(2560, 4).half()
    wanted = x.float() @ weight.float()
    here, there = x.to(device.DEVICE), weight.to(device.DEVICE)
    assert torch.equal((here @ there).cpu(), wanted.half())
    assert torch.equal(
        torch.addmm(there[0], here, there).cpu(), torch.addmm(weight[0].float(), x.float(), weight.float()).half()
    )
    kept = torch.ones(2, 4, 8, device=device.DEVICE).half()
    kept[1].T.addmm_(here, there, alpha=0.5)
    assert torch.equal(kept[1].T.cpu(), (1 + 0.5 * wanted).half()) and bool((kept[0] == 1).all())


def test_a_device_may_lack_float64(device):
    x = torch.ones(3, device=device.DEVICE)
    with device.without_float64():
        for make in (lambda: x.double(), lambda: x.to("cpu", torch.float64)):
            with pytest.raises(TypeError, match="float64"):
                make()
        assert x.cpu().double().dtype == torch.float64


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


@pytest.mark.parametrize("algorithm", ["diag-oft", "ia3"])
def test_changes_by_formula_are_computed_on_the_card_in_half_precision(comfy, device, loaded, algorithm):
    from pack.nodes.comfy_bridge.model.lora import apply_lora
    from pack.training.tools.strengths import Strengths

    settings = NetworkSettings(algorithm=algorithm, parts=("unet",), include=("*attn1*",))
    network = Network.create(base_model(loaded).parts(), "sd15", settings, 0)
    with torch.no_grad():
        for _, parameter in network.named_parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape))
    patched, _ = apply_lora(loaded.model, None, network.state_dict(), Strengths(), as_trained=True)
    path = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_k.weight"
    before = loaded.model.model.state_dict()[path].float().cpu().clone()
    with torch.inference_mode():
        comfy.module("comfy.model_management").load_models_gpu([patched])
    after = patched.model.state_dict()[path]
    assert after.dtype == torch.float16 and after.device.type == "npu"
    assert after.isfinite().all() and (after.float().cpu() - before).abs().max() > 1e-3


def test_trigger_words_are_found_with_the_text_encoder_on_the_card(comfy, device, loaded):
    from pack.nodes.comfy_bridge.model.trigger_words import likely_trigger_words

    settings = NetworkSettings(rank=2, alpha=2.0, parts=("text_encoder",))
    network = Network.create(base_model(loaded).parts(), "sd15", settings, 0)
    with torch.no_grad():
        for _, parameter in network.named_parameters():
            parameter.add_(0.1)
    with torch.inference_mode():
        comfy.module("comfy.model_management").load_models_gpu([loaded.clip.patcher])
        assert likely_trigger_words(loaded.clip, network.state_dict(), num_candidates=3, num_words=2)


def test_gradients_on_two_devices_are_clipped_together(comfy, device):
    """As torch clips them where one device has all."""

    def parameters(places):
        made = [torch.nn.Parameter(torch.zeros(3, device=place)) for place in places]
        for index, parameter in enumerate(made):
            parameter.grad = torch.arange(3.0).add(index).to(parameter.device)
        return made

    for limit in (0.5, 100.0):
        together, apart = parameters(["cpu"] * 3), parameters(["cpu", device.DEVICE, "npu:1"])
        wanted = torch.nn.utils.clip_grad_norm_(together, limit)
        _, norm = clip_and_read([], apart, limit, torch.device(device.DEVICE))
        assert norm == pytest.approx(float(wanted))
        for a, b in zip(together, apart, strict=True):
            torch.testing.assert_close(a.grad, b.grad.cpu())
