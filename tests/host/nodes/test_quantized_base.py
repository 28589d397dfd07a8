"""Checkpoints that hold their matrices quantized: all train, by right gradients, and stay as small as they are."""

import gc

import pytest
import torch
from pack.tests.host.nodes.test_bridge import SIZE, are_identical, base_model, bits, latents, picture
from pack.tests.support.cases import chosen
from pack.tests.support.quantized_models import (
    QUANTIZATIONS,
    UNET,
    load_weights,
    plain_weights,
    quantized_weights,
    read_weights,
)
from pack.training.base_model import TextConditioning
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings
from torch._subclasses.fake_tensor import FakeTensor

pytestmark = pytest.mark.comfy

ATTENTION = NetworkSettings(rank=4, alpha=4.0)
EVERYTHING = NetworkSettings(algorithm="locon", rank=4, alpha=4.0, targets="all")


@pytest.fixture(scope="module")
def unet(tiny_sd15):
    return read_weights(tiny_sd15, UNET)


@pytest.fixture(scope="module")
def plain(comfy, unet):
    """The model without quantization."""
    return load_weights(comfy, unet)


EVERY_DAY = ("fp8", "w4a4")
"""A value a byte, and two with a rotation; the others run with --full."""


@pytest.fixture(scope="module", params=chosen(QUANTIZATIONS, EVERY_DAY))
def kind(request):
    return QUANTIZATIONS[request.param]


@pytest.fixture(scope="module")
def quantized(comfy, unet, kind):
    return load_weights(comfy, quantized_weights(unet, kind))


def text():
    return TextConditioning(torch.randn(77, 768, generator=torch.Generator().manual_seed(2)))


def live_bytes():
    """Of every tensor that Python holds, a storage counted once; packed tensors by what is in them."""
    gc.collect()
    found = {}
    for thing in gc.get_objects():
        if issubclass(type(thing), torch.Tensor) and type(thing) is not FakeTensor and not hasattr(thing, "_qdata"):
            storage = thing.untyped_storage()
            found[storage.data_ptr()] = storage.nbytes()
    return sum(found.values())


def trained(model, settings):
    """Gradients of one backward pass, bytes kept for it by autograd, and all tensors' bytes at its begin."""
    base = base_model((model, None, None))
    weights = {p.data_ptr() for p in model.model.parameters()}
    kept = {}

    def pack(tensor):
        if tensor.data_ptr() not in weights:
            kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.inference_mode(False):
        network = Network.create(base.parts(), base.family, settings, 0, base.frozen_tensor)
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                if "lora_up" in name:
                    parameter.normal_(0, 0.02, generator=torch.Generator().manual_seed(len(name)))
        before = live_bytes()
        with base.training(False):
            network.attach()
            try:
                with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
                    prediction = base.denoise(latents(), torch.tensor([500]), [text()], [SIZE])
                held = live_bytes() - before
                prediction.square().mean().backward()
            finally:
                network.detach()
    return {name: p.grad for name, p in network.named_parameters()}, sum(kept.values()), held


def test_the_same_modules_are_trained_as_of_the_plain_model(quantized, plain):
    for settings in (ATTENTION, EVERYTHING):
        networks = [
            Network.create(base_model((model, None, None)).parts(), "sd15", settings, 0)
            for model in (quantized.model, plain.model)
        ]
        found, wanted = ([name for name, _ in network.named_parameters()] for network in networks)
        assert found == wanted


def test_gradients_are_those_of_the_dequantized_model_and_nothing_whole_is_kept(comfy, unet, kind, quantized):
    twin = load_weights(comfy, plain_weights(unet, kind))
    twin.model.model.diffusion_model.float()
    found, kept, held = trained(quantized.model, EVERYTHING)
    wanted, kept_by_twin, held_by_twin = trained(twin.model, EVERYTHING)
    for name, gradient in wanted.items():
        cosine = torch.nn.functional.cosine_similarity(found[name].flatten(), gradient.flatten(), dim=0)
        assert cosine > 0.9999, name
        assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm(), name
    assert kept <= 1.02 * kept_by_twin
    assert held <= held_by_twin + 2**20


def test_a_packed_base_is_no_larger_while_it_trains(quantized, kind, unet):
    def size():
        weights = dict(quantized.model.model.diffusion_model.named_parameters())
        return sum(getattr(weight, "nbytes", 0) for weight in weights.values() if hasattr(weight, "_qdata"))

    before = size()
    matrices = sum(
        module.in_features * module.out_features
        for module in quantized.model.model.diffusion_model.modules()
        if hasattr(getattr(module, "weight", None), "_qdata")
    )
    assert before <= 1.1 * matrices * (0.5 if kind.format in ("nvfp4", "convrot_w4a4") else 1.0)
    with base_model((quantized.model, None, None)).training(False):
        assert size() == before


def test_pictures_and_weights_are_the_same_bits_after_training(comfy, tiny_sd15, kind):
    loaded = load_weights(comfy, quantized_weights(read_weights(tiny_sd15), kind))
    before, weights = picture(comfy, loaded), bits(loaded.model.model)
    trained(loaded.model, ATTENTION)
    assert are_identical(weights, loaded.model.model)
    assert torch.equal(before, picture(comfy, loaded))


def test_what_smooths_the_input_is_in_the_weight(comfy):
    """AWQ's `pre_quant_scale`, by which the host multiplies the input before the product: one number a column."""
    from pack.nodes.comfy_bridge.model.plain_weights import plain_weights

    torch.manual_seed(0)
    layer = comfy.module("comfy.ops").manual_cast.Linear(6, 4)
    layer.weight.data.normal_()
    layer.bias.data.normal_()
    layer.pre_quant_scale = torch.rand(6) + 0.5
    x = torch.randn(3, 6)
    with plain_weights(layer, x) as (weight, bias):
        smoothed = torch.nn.functional.linear(x, weight, bias)
    expected = torch.nn.functional.linear(x * layer.pre_quant_scale, layer.weight, layer.bias)
    torch.testing.assert_close(smoothed, expected)
