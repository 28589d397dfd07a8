"""Models with layers of other packs: right gradients by the layers' own forward, or a refusal that names them."""

import pytest
import torch
from pack.tests.host.nodes.test_bridge import base_model
from pack.tests.host.nodes.test_quantized_base import EVERYTHING, trained
from pack.tests.support.cases import chosen
from pack.tests.support.quantized_models import UNET, load_weights, read_weights
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings
from torch import nn

pytestmark = pytest.mark.comfy


@pytest.fixture(scope="module")
def weights(tiny_sd15):
    return read_weights(tiny_sd15, UNET)


@pytest.fixture
def loaded(comfy, weights):
    return load_weights(comfy, weights)


def pack(loaded, **kinds):
    """Its transformers' layers become another pack's, in place."""
    from pack.tests.support.packed_layers import packed_like, replace

    with torch.inference_mode():
        layers = (nn.Linear, *kinds.pop("more", ()))
        return replace(loaded.model.model.diffusion_model, layers, lambda module: packed_like(module, **kinds))


def unpack(loaded):
    from pack.tests.support.packed_layers import PackedLayer, replace, unpacked_like

    return replace(loaded.model.model.diffusion_model, PackedLayer, unpacked_like)


def test_gradients_are_those_of_the_unpacked_model_and_no_weight_is_kept(loaded):
    count = pack(loaded, more=(nn.Conv2d,))
    base_model((loaded.model, None, None)).check(("unet",))
    found, kept, held = trained(loaded.model, EVERYTHING)
    assert unpack(loaded) == count > 60
    wanted, kept_plain, held_plain = trained(loaded.model, EVERYTHING)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm(), name
    assert kept <= 1.02 * kept_plain
    assert held <= held_plain + 2**20


@pytest.mark.parametrize("algorithm", chosen(["dora", "diag-oft"], ["diag-oft"]))
def test_algorithms_that_need_the_weight_get_it(loaded, algorithm):
    is_dora = algorithm == "dora"
    settings = NetworkSettings(
        algorithm="locon" if is_dora else algorithm, weight_decompose=is_dora, rank=4, targets="blocks"
    )
    pack(loaded, more=(nn.Conv2d,))
    found = trained(loaded.model, settings)[0]
    unpack(loaded)
    wanted = trained(loaded.model, settings)[0]
    for name, gradient in wanted.items():
        assert (found[name] - gradient).norm() <= 1e-3 * gradient.norm() + 1e-9, name


def test_weight_and_bias_are_read_through_strides_and_padding(comfy):
    from pack.nodes.comfy_bridge.model.foreign_layers import read_bias, read_weight
    from pack.tests.support.packed_layers import packed_like

    ops = comfy.module("comfy.ops").manual_cast
    cpu = torch.device("cpu")
    for layer in (
        ops.Linear(12, 7),
        ops.Conv2d(5, 6, 3, padding=1),
        ops.Conv2d(5, 6, 3, stride=2, padding=1),
        ops.Conv2d(5, 6, (1, 3), stride=3, padding=(2, 4), dilation=2),
    ):
        for parameter in layer.parameters():
            parameter.data.normal_()
        packed = packed_like(layer)
        torch.testing.assert_close(read_weight(packed, cpu), packed.weight.unpack(torch.float32))
        torch.testing.assert_close(read_bias(packed, cpu), layer.bias.detach())


@pytest.mark.parametrize("kind", ["BytesOnly", "WithoutGradient", "WithHalfGradient"])
def test_layers_that_cannot_be_trained_through_are_refused_by_name(loaded, kind):
    import pack.tests.support.packed_layers as layers

    pack(loaded, linear=getattr(layers, kind))
    with pytest.raises(ValueError, match=rf"model.*the layer \S+ \({kind} of pack\.tests\.support\.packed_layers\)"):
        base_model((loaded.model, None, None)).check(("unet",))


def test_usual_models_are_not_refused(loaded):
    base_model((loaded.model, None, None)).check(("unet",))


def test_identity_tells_two_files_apart_that_only_their_layers_can_read(comfy, weights):
    from pack.nodes.comfy_bridge.model.identity import patcher_key

    name = next(name for name in weights if name.endswith("attn1.to_q.weight"))
    keys = []
    for factor in (1.0, 1.0, -1.0):
        loaded = load_weights(comfy, {**weights, name: factor * weights[name]})
        pack(loaded)
        assert loaded.model.model.state_dict()[name.removeprefix("model.")].is_meta
        keys.append(patcher_key(loaded.model))
    assert keys[0] == keys[1] != keys[2]


def test_weights_that_are_nowhere_have_no_identity(loaded):
    from pack.nodes.comfy_bridge.model.identity import patcher_key

    pack(loaded)
    unet = loaded.model.model.diffusion_model
    layer = next(module for module in unet.modules() if type(module).__name__ == "PackedLinear")
    layer._parameters["weight"] = nn.Parameter(torch.empty(layer.weight.packed_shape, device="meta"))
    layer.weight.packed_shape = layer.weight.shape
    with pytest.raises(ValueError, match=r"PackedLinear of .*packed_layers"):
        patcher_key(loaded.model)


def test_packed_layers_are_not_read_by_extraction(loaded):
    from pack.nodes.comfy_bridge.model.lora_weights import HostWeights

    pack(loaded)
    read = HostWeights(loaded.model, None)
    with pytest.raises(ValueError, match=r"PackedLinear of .*packed_layers"):
        for name in read.names:
            read(name)


def test_a_fresh_network_finds_as_many_modules(loaded):
    def count():
        parts = base_model((loaded.model, None, None)).parts()
        return len(Network.create(parts, "sd15", NetworkSettings(rank=2), 0).adapters)

    before = count()
    pack(loaded)
    assert count() == before
