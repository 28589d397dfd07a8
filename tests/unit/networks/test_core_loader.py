"""ComfyUI's own LoRA loader computes the same weights from our files as the attached network."""

import pytest
import torch
from pack.tests.support.cases import combined
from pack.tests.unit.networks.layers import ALGORITHMS, LAYERS, layer_and_input, trained
from pack.tests.unit.networks.test_contract import NORMS, norm_and_input, trained_norm
from pack.training.networks import Network, NetworkSettings

pytestmark = pytest.mark.comfy
cases = pytest.mark.parametrize(("algorithm", "kind"), combined(ALGORITHMS, LAYERS))


def patched(comfy, patches, weights):
    """Every weight with ComfyUI's patch applied at strength 1."""
    calculate = comfy.module("comfy.lora").calculate_weight
    return {
        key: calculate([(1.0, patch, 1.0, None, None)], weights[key].detach().clone().float(), key)
        for key, patch in patches.items()
    }


@cases
def test_one_layer_of_every_algorithm(comfy, algorithm, kind):
    module, _ = layer_and_input(kind)
    module = module.float()
    adapter = trained(algorithm, module).float()
    file = {f"key.{suffix}": tensor for suffix, tensor in adapter.file_tensors().items()}
    patches = comfy.module("comfy.lora").load_lora(dict(file), {"key": "layer.weight"}, log_missing=False)
    weights = {f"layer.{name}": parameter for name, parameter in module.named_parameters()}
    got = patched(comfy, patches, weights)
    torch.testing.assert_close(got.pop("layer.weight"), module.weight + adapter.delta_weight(), rtol=1e-4, atol=2e-6)
    if adapter.delta_bias() is not None:
        torch.testing.assert_close(got.pop("layer.bias"), module.bias + adapter.delta_bias(), rtol=1e-5, atol=1e-6)
    assert not got


@pytest.mark.parametrize("kind", NORMS)
def test_one_norm_of_each_kind(comfy, kind):
    module, _, adapter = norm_and_input(kind)
    module, adapter = module.float(), trained_norm(adapter).float()
    file = {f"key.{suffix}": tensor for suffix, tensor in adapter.file_tensors().items()}
    patches = comfy.module("comfy.lora").load_lora(file, {"key": "layer.weight"}, log_missing=False)
    got = patched(comfy, patches, {"layer.weight": module.weight, "layer.bias": module.bias})
    torch.testing.assert_close(got.pop("layer.weight"), module.weight + adapter.delta_weight(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got.pop("layer.bias"), module.bias + adapter.delta_bias(), rtol=1e-5, atol=1e-6)
    assert not got


def check_whole_model(comfy, loaded, parts, family, settings):
    """The loader finds the right weight for every tensor of the file; of every sixth it computes base + delta."""
    network = Network.create(parts, family, settings, seed=1)
    source = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for _, parameter in network.named_parameters():
            parameter.add_(torch.randn(parameter.shape, generator=source) * 0.05)
    lora = comfy.module("comfy.lora")
    keys = lora.model_lora_keys_unet(loaded.model.model, {})
    keys = lora.model_lora_keys_clip(loaded.clip.cond_stage_model, keys)
    patches = lora.load_lora(network.state_dict(), keys, log_missing=False)
    weights = dict(_parameters(loaded))
    names = {id(weight): name for name, weight in weights.items()}
    wanted = {}
    for attachment in network.attachments:
        module, adapter = attachment.target.module, attachment.adapter
        wanted[names[id(module.weight)]] = (module.weight, adapter.delta_weight)
        if adapter.delta_bias() is not None:
            wanted[names[id(module.bias)]] = (module.bias, adapter.delta_bias)
    assert patches.keys() == wanted.keys()
    sample = sorted(patches)[::6]
    for key, got in patched(comfy, {key: patches[key] for key in sample}, weights).items():
        base, delta = wanted[key]
        torch.testing.assert_close(got, base.float() + delta(), rtol=1e-4, atol=1e-4)
    return network


def _parameters(loaded):
    yield from loaded.model.model.named_parameters()
    yield from loaded.clip.cond_stage_model.named_parameters()


def test_sd15_everything(comfy, tiny_sd15):
    loaded = comfy.load_checkpoint(tiny_sd15)
    parts = {
        "unet": loaded.model.model.diffusion_model,
        "text_encoder": loaded.clip.cond_stage_model.clip_l.transformer,
    }
    settings = NetworkSettings(
        algorithm="locon", rank=4, targets="all", train_norms=True, parts=("unet", "text_encoder")
    )
    with torch.inference_mode():
        network = check_whole_model(comfy, loaded, parts, "sd15", settings)
    keys = {attachment.target.key for attachment in network.attachments}
    assert "lora_unet_conv_in" in keys and "lora_te_text_model_encoder_layers_0_mlp_fc1" in keys


def test_sdxl_both_text_encoders(comfy, tiny_sdxl):
    loaded = comfy.load_checkpoint(tiny_sdxl)
    parts = {
        "unet": loaded.model.model.diffusion_model,
        "text_encoder": loaded.clip.cond_stage_model.clip_l.transformer,
        "text_encoder_2": loaded.clip.cond_stage_model.clip_g.transformer,
    }
    settings = NetworkSettings(algorithm="locon", rank=2, parts=("unet", "text_encoder", "text_encoder_2"))
    with torch.inference_mode():
        network = check_whole_model(comfy, loaded, parts, "sdxl", settings)
    assert {attachment.target.part for attachment in network.attachments} == set(parts)
