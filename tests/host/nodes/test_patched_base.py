"""Training on top of a model that LoRAs of the graph have changed: the change trained against is base and patch."""

import pytest
import torch
from pack.tests.host.nodes.test_bridge import SIZE, bits, latents
from pack.training.base_model import TextConditioning
from pack.training.networks.network import Network
from pack.training.networks.settings import NetworkSettings

pytestmark = pytest.mark.comfy

RANK = 2


@pytest.fixture(scope="module")
def loaded(comfy, tiny_sd15):
    return comfy.load_checkpoint(tiny_sd15)


@pytest.fixture
def patched(comfy, loaded):
    """The same MODEL with a LoRA of the host's own kind on every linear layer, and on the biases."""
    from pack.nodes.comfy_bridge.model.lora import key_map

    weights, tensors = loaded.model.model.state_dict(), {}
    generator = torch.Generator().manual_seed(5)
    for name, key in key_map(loaded.model, None).items():
        if name.startswith("lora_unet_") and key in weights and weights[key].dim() == 2:
            out, into = weights[key].shape
            tensors[f"{name}.lora_up.weight"] = torch.randn(out, RANK, generator=generator) * 0.2
            tensors[f"{name}.lora_down.weight"] = torch.randn(RANK, into, generator=generator) * 0.05
            tensors[f"{name}.alpha"] = torch.tensor(float(RANK))
            tensors[f"{name}.diff_b"] = torch.randn(out, generator=generator) * 0.05
    with torch.inference_mode():
        model, _ = comfy.module("comfy.sd").load_lora_for_models(loaded.model, None, tensors, 1.0, 0.0)
    yield model
    comfy.module("comfy.model_management").unload_all_models()


def test_lora_in_bypass_mode_is_refused_with_the_way_out(comfy, loaded):
    keys, weights = (
        comfy.module("comfy.lora").model_lora_keys_unet(loaded.model.model, {}),
        loaded.model.model.state_dict(),
    )
    name = next(name for name, key in keys.items() if name.endswith("attn1_to_q") and key in weights)
    tensors = {f"{name}.lora_up.weight": torch.ones(320, 1), f"{name}.lora_down.weight": torch.ones(1, 320)}
    with torch.inference_mode():
        model, _ = comfy.module("comfy.sd").load_bypass_lora_for_models(loaded.model, None, tensors, 1.0, 0.0)
    with pytest.raises(ValueError, match=r"bypass"):
        base_model(model)
    base_model(loaded.model)


def base_model(model):
    from pack.nodes.comfy_bridge.model.base_model import ComfyBaseModel

    return ComfyBaseModel(model, None, None)


def load(comfy, model):
    with torch.inference_mode():
        comfy.module("comfy.model_management").load_models_gpu([model])


def load_in_part(comfy, model):
    """As on a small card: no weight is kept on the device, patches are laid over each at its layer."""
    with torch.inference_mode():
        model.unpatch_model(model.load_device)
        model.patch_model(model.load_device, lowvram_model_memory=1)
    assert any(getattr(module, "weight_function", None) for module in model.model.modules())


def every_tensor(base):
    return {
        (path, name): base.frozen_tensor(module, name).float().clone()
        for path, module in base.parts()["unet"].named_modules()
        if isinstance(module, (torch.nn.Linear, torch.nn.Conv2d))
        for name in ("weight", "bias")
        if getattr(module, name) is not None
    }


def test_weights_are_the_patched_ones_whatever_is_loaded(comfy, loaded, patched):
    base = base_model(patched)
    load(comfy, patched)
    wanted = every_tensor(base)
    changed = [place for place, tensor in every_tensor(base_model(loaded.model)).items()
               if not torch.equal(tensor, wanted[place])]  # fmt: skip
    assert {name for _, name in changed} == {"weight", "bias"}
    modules = dict(base.parts()["unet"].named_modules())
    assert all(torch.equal(tensor, getattr(modules[path], name).float()) for (path, name), tensor in wanted.items())
    load(comfy, loaded.model)
    assert all(torch.equal(tensor, wanted[place]) for place, tensor in every_tensor(base).items())
    comfy.module("comfy.model_management").unload_all_models()
    assert all(torch.equal(tensor, wanted[place]) for place, tensor in every_tensor(base).items())
    load_in_part(comfy, patched)
    for place, tensor in every_tensor(base).items():
        torch.testing.assert_close(tensor, wanted[place], rtol=1e-3, atol=1e-3)
    patched.unpatch_model()


START = {"glora": 0.003}
"""How far parameters that begin as zero are moved. GLoRA multiplies them with large ones: at 0.03 its change is a
hundred times the weights, and the last digits of a sum decide what the net predicts."""
NETWORKS = {
    "lora": NetworkSettings(rank=RANK),
    "dora": NetworkSettings(rank=RANK, weight_decompose=True),
    "ia3": NetworkSettings(algorithm="ia3"),
    "glora": NetworkSettings(algorithm="glora", rank=RANK),
    "diag-oft": NetworkSettings(algorithm="diag-oft", rank=RANK),
}


def predict(base):
    text = TextConditioning(torch.randn(77, 768, generator=torch.Generator().manual_seed(2)))
    return base.denoise(latents(), torch.tensor([500]), [text], [SIZE]).detach()


@torch.no_grad()
def move(network, algorithm):
    generator = torch.Generator().manual_seed(3)
    for _, parameter in network.named_parameters():
        size = 0.1 * parameter.abs().mean() if parameter.any() else START.get(algorithm, 0.3)
        parameter += size * torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("place", ["whole", "in part"])
@pytest.mark.parametrize("algorithm", NETWORKS)
def test_result_on_the_patched_model_is_what_was_trained(comfy, loaded, patched, algorithm, place):
    """Made while other weights are loaded, moved away from zero, its file on the patched MODEL predicts the same."""
    from pack.nodes.comfy_bridge.model.lora import apply_lora
    from pack.training.tools.strengths import Strengths

    load(comfy, loaded.model)
    weights, base = bits(loaded.model.model), base_model(patched)
    with torch.inference_mode(False):
        network = Network.create(base.parts(), base.family, NETWORKS[algorithm], 0, base.frozen_tensor)
        with base.training(False):
            if place == "in part":
                load_in_part(comfy, patched)
                base._shared.refresh()
            untouched = predict(base)
            network.attach()
            try:
                fresh = predict(base)
                move(network, algorithm)
                trained = predict(base)
            finally:
                network.detach()
        load(comfy, loaded.model)
        tensors = network.state_dict()
    torch.testing.assert_close(fresh, untouched, rtol=1e-3, atol=1e-3)
    with torch.inference_mode():
        applied, _ = apply_lora(patched, None, tensors, Strengths(), as_trained=algorithm == "diag-oft")
        load(comfy, applied)
        of_file = predict(base_model(applied))
    assert (trained - untouched).abs().max() > 0.01
    torch.testing.assert_close(of_file, trained, rtol=2e-3, atol=2e-3 * float(trained.abs().max()))
    load(comfy, loaded.model)
    assert all(torch.equal(weights[name], tensor) for name, tensor in loaded.model.model.state_dict().items())
