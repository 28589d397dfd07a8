"""LoRAs in half precision whose change is computed from the weight, on a card: as on the processor in float32."""

import pytest
import torch
from pack.tests.host.device.graphs import load
from pack.tests.host.device.steps import base_model
from pack.tests.support.cases import chosen
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

SETTINGS = {
    "diag-oft": {"algorithm": "diag-oft"},
    "boft": {"algorithm": "boft"},
    "ia3": {"algorithm": "ia3"},
    "dora by rows": {"algorithm": "lora", "rank": 4, "alpha": 4.0, "weight_decompose": True},
}
UNET = "diffusion_model.input_blocks.1.1.transformer_blocks.0.attn1.to_k.weight"
CLIP = "clip_l.transformer.text_model.encoder.layers.1.self_attn.q_proj.weight"
STRENGTHS = {"unet_strength": 0.7, "text_encoder_strength": 0.7}
ROUNDING = 4e-4
"""Two roundings to float16, relative."""


@pytest.fixture
def loaded(comfy, device):
    return load(comfy, "sd15")


def half_file(loaded, name, dtype):
    """A trained LoRA's tensors as a tool saves them in half precision; DoRA's magnitudes a row, as LyCORIS has them."""
    settings = NetworkSettings(parts=("unet", "text_encoder"), include=("*attn1*", "*self_attn*"), **SETTINGS[name])
    with torch.inference_mode(False):
        network = Network.create(base_model(loaded).parts(), "sd15", settings, 0)
        generator = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for _, parameter in network.named_parameters():
                parameter.add_(0.02 * torch.randn(parameter.shape, generator=generator))
        tensors = network.state_dict()
    if "rows" in name:
        rows = {key.removesuffix("dora_scale") for key in tensors if key.endswith("dora_scale")}
        for key in rows:
            size = tensors[f"{key}lora_up.weight"].shape[0]
            tensors[f"{key}dora_scale"] = 1 + torch.rand(size, 1, generator=generator)
    return {key: tensor.to(dtype) for key, tensor in tensors.items()}


def patched_weights(comfy, loaded, tensors, place):
    """Weights of the U-Net and the text encoder with a LoRA, applied on a device by Apply LoRA's `as_trained`."""
    from pack.nodes.comfy_bridge.model.lora import apply_lora
    from pack.training.tools.strengths import Strengths

    management, found = comfy.module("comfy.model_management"), {}
    model, clip = apply_lora(loaded.model, loaded.clip, tensors, Strengths(), as_trained=True)
    with torch.inference_mode():
        for patcher, key in ((model, UNET), (clip.patcher, CLIP)):
            patcher.load_device = torch.device(place)
            management.load_models_gpu([patcher])
            weight = patcher.model.state_dict()[key]
            assert weight.device == patcher.load_device and weight.dtype == torch.float16
            found[key] = weight.float().cpu().clone()
            management.unload_all_models()
    return found


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("dtype", chosen([torch.float16, torch.bfloat16], [torch.float16]))
def test_it_is_applied_as_on_the_processor_in_float32(comfy, device, loaded, name, dtype):
    tensors = half_file(loaded, name, dtype)
    wanted = patched_weights(comfy, loaded, {key: tensor.float() for key, tensor in tensors.items()}, "cpu")
    found = patched_weights(comfy, loaded, tensors, device.DEVICE)
    before = loaded.model.model.state_dict()[UNET].float().cpu()
    assert (wanted[UNET] - before).norm() > 0.01 * before.norm(), "the LoRA changes something"
    for key, weight in wanted.items():
        assert (found[key] - weight).norm() < ROUNDING * weight.norm()


@pytest.mark.parametrize("name", chosen(SETTINGS, ["dora by rows", "boft"]))
def test_tools_say_and_give_the_same_with_models_on_the_card(comfy, device, loaded, name):
    from pack.nodes.lora.merge import BakeryMergeIntoModel, BakeryMergeLoRAs
    from pack.nodes.lora.tools import BakeryInspectLoRA

    management = comfy.module("comfy.model_management")
    tensors = half_file(loaded, name, torch.float16)
    models = {"model": loaded.model, "clip": loaded.clip}

    def results():
        with torch.inference_mode():
            said = BakeryInspectLoRA.execute(tensors, clip=loaded.clip).result[0]
            merged = BakeryMergeLoRAs.execute(rank=2, lora_1=tensors, lora_2=tensors, strength_2=0.5, **models)
            into, _ = BakeryMergeIntoModel.execute(lora=tensors, **models, **STRENGTHS).result
            management.unload_all_models()
            management.load_models_gpu([into])
            weight = into.model.state_dict()[UNET].cpu().clone()
            management.unload_all_models()
            return said, {**merged.result[0], UNET: weight}

    said, wanted = results()
    with torch.inference_mode():
        management.load_models_gpu([loaded.model, loaded.clip.patcher])
    told, found = results()
    assert told == said
    assert all(torch.equal(found[key], tensor) for key, tensor in wanted.items())
