"""Quantized checkpoints under what else is done with a MODEL: identity, patches, extraction, merging, text encoders."""

import pytest
import torch
from pack.tests.host.nodes.test_bridge import SIZE, base_model, latents, train_once
from pack.tests.support.inprocess import LoadedModels
from pack.tests.support.quantized_models import (
    QUANTIZATIONS,
    UNET,
    load_text_encoder,
    load_weights,
    plain_weights,
    quantized_weights,
    read_weights,
)
from pack.training.base_model import TextConditioning

pytestmark = pytest.mark.comfy

KINDS = ("fp8", "nvfp4", "int8 rotated", "w4a4")
TEXT = "cond_stage_model.transformer."


@pytest.fixture(scope="module")
def unet(tiny_sd15):
    return read_weights(tiny_sd15, UNET)


@pytest.fixture(params=KINDS)
def kind(request):
    return QUANTIZATIONS[request.param]


@pytest.fixture
def model(comfy, unet, kind):
    loaded = load_weights(comfy, quantized_weights(unet, kind)).model
    yield loaded
    comfy.module("comfy.model_management").unload_all_models()


def lora(model, size=0.02):
    """Tensors of a LoRA on every query of self-attention."""
    from pack.nodes.comfy_bridge.model.lora_weights import HostWeights

    generator, tensors = torch.Generator().manual_seed(4), {}
    for name in HostWeights(model, None).names:
        if name.endswith("attn1_to_q"):
            tensors[f"{name}.lora_up.weight"] = torch.randn(320, 2, generator=generator) * size
            tensors[f"{name}.lora_down.weight"] = torch.randn(2, 320, generator=generator)
            tensors[f"{name}.alpha"] = torch.tensor(2.0)
    assert tensors
    return tensors


def with_lora(model, tensors):
    from pack.nodes.comfy_bridge.model.lora import apply_lora
    from pack.training.tools.strengths import Strengths

    with torch.inference_mode():
        return apply_lora(model, None, tensors, Strengths())[0]


def load(comfy, model):
    with torch.inference_mode():
        comfy.module("comfy.model_management").load_models_gpu([model])


def test_identity_is_that_of_the_file_whatever_is_loaded(comfy, unet, kind, model):
    from pack.nodes.comfy_bridge.model.identity import patcher_key

    key, patched = patcher_key(model), with_lora(model, lora(model))
    changed = patcher_key(patched)
    assert changed != key
    load(comfy, patched)
    assert (patcher_key(model), patcher_key(patched)) == (key, changed)
    name = next(name for name in unet if name.endswith("attn1.to_k.weight"))
    other = load_weights(comfy, quantized_weights({**unet, name: unet[name] * 1.5}, kind)).model
    assert patcher_key(other) != key


def test_weights_are_read_as_the_model_computes_with_them(comfy, unet, kind, model):
    from pack.nodes.comfy_bridge.model.lora_weights import HostWeights

    plain = HostWeights(load_weights(comfy, plain_weights(unet, kind)).model, None)
    packed = HostWeights(model, None)
    assert packed.names == plain.names
    for name in packed.names:
        torch.testing.assert_close(packed(name), plain(name), rtol=1e-5, atol=1e-6)


def test_a_patched_weight_is_the_same_before_and_after_it_is_loaded(comfy, model):
    patched = with_lora(model, lora(model))
    base = base_model((patched, None, None))
    modules = {path: module for path, module in base.parts()["unet"].named_modules() if path.endswith("attn1.to_q")}
    before = {path: base.frozen_tensor(module, "weight").clone() for path, module in modules.items()}
    load(comfy, patched)
    for path, module in modules.items():
        assert torch.equal(base.frozen_tensor(module, "weight"), before[path])


def test_a_lora_is_extracted_from_two_quantized_models(model):
    from pack.nodes.comfy_bridge.model.lora_weights import HostWeights, weight_pairs
    from pack.training.tools.extract import ExtractSettings, extract
    from pack.training.tools.ranks import RankChoice

    tensors = lora(model)
    settings = ExtractSettings(choice=RankChoice(rank=2), dtype=torch.float32)
    pairs = weight_pairs(HostWeights(model, None), HostWeights(with_lora(model, tensors), None), settings)
    found, _ = extract(pairs, settings)
    for name in {name.split(".")[0] for name in tensors}:
        wanted = tensors[f"{name}.lora_up.weight"] @ tensors[f"{name}.lora_down.weight"]
        scale = found[f"{name}.alpha"] / 2
        delta = scale * (found[f"{name}.lora_up.weight"].flatten(1) @ found[f"{name}.lora_down.weight"].flatten(1))
        assert (delta - wanted).norm() <= 0.01 * wanted.norm()


def test_a_model_with_a_lora_merged_in_predicts_what_the_patched_plain_one_does(comfy, unet, kind, model):
    """To what the layout rounds: the host packs a patched weight again."""
    from pack.nodes.lora.files import apply_inputs

    tensors = lora(model, size=0.1)
    plain = load_weights(comfy, plain_weights(unet, kind)).model
    with torch.inference_mode():
        strengths = {"unet_strength": 1.0, "text_encoder_strength": 1.0}
        merged = apply_inputs(model, None, tensors, **strengths)[0]
    text = TextConditioning(torch.randn(77, 768, generator=torch.Generator().manual_seed(2)))
    predictions = []
    for one in (merged, with_lora(plain, tensors), plain):
        load(comfy, one)
        with base_model((one, None, None)).training(False), torch.no_grad():
            predictions.append(base_model((one, None, None)).denoise(latents(), torch.tensor([500]), [text], [SIZE]))
    found, wanted, without = predictions
    assert (found - wanted).norm() < 0.5 * (wanted - without).norm()


def test_quantized_text_encoders_are_trained(comfy, tiny_sd15):
    kind, weights = QUANTIZATIONS["fp8"], read_weights(tiny_sd15)
    text = {name.removeprefix(TEXT): tensor for name, tensor in weights.items() if name.startswith(TEXT)}
    text["text_projection.weight"] = torch.eye(768)
    for number in range(3, 12):  # this loader of the host takes no fewer layers
        of_file = f"layers.{number % 3}."
        text |= {n.replace(of_file, f"layers.{number}."): tensor for n, tensor in list(text.items()) if of_file in n}
    gradients = []
    for pack in (quantized_weights, plain_weights):
        unet = {name: tensor for name, tensor in weights.items() if name.startswith(UNET)}
        clip = load_text_encoder(comfy, pack(text, kind, "text_model."))
        loaded = LoadedModels(load_weights(comfy, pack(unet, kind)).model, clip, None)
        if pack is quantized_weights:
            layers = [module for module in clip.cond_stage_model.modules() if hasattr(module, "in_features")]
            assert sum(hasattr(module.weight, "_qdata") for module in layers) == 72
        else:
            with torch.inference_mode():
                loaded.model.model.diffusion_model.float()
                clip.cond_stage_model.float()
        base = base_model(loaded)
        base.check(("unet", "text_encoder"))
        gradients.append(train_once(base, is_text_trained=True)[1])
    found, wanted = gradients
    assert found.keys() == wanted.keys()
    assert any(name.startswith("lora_te") for name in found)
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 1e-2 * gradient.norm() + 1e-12, name
