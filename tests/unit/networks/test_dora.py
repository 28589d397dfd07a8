"""DoRA from the factors of a LoRA, in the number formats that models compute in."""

import pytest
import torch
from pack.training.networks.dora import DoraAdapter
from pack.training.networks.layer import Layer
from pack.training.networks.lora import LoraAdapter
from torch import nn

LAYERS = {"linear": lambda: nn.Linear(64, 96), "conv": lambda: nn.Conv2d(32, 48, 3, padding=1)}
INPUTS = {"linear": (2, 200, 64), "conv": (2, 32, 16, 16)}


@torch.no_grad()
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_small_change_of_the_magnitudes_is_not_rounded_away(kind, dtype):
    torch.manual_seed(0)
    module = LAYERS[kind]().to(dtype)
    layer = Layer.of(module)
    adapter = DoraAdapter(layer, LoraAdapter.create(layer, 4, 4.0, torch.Generator().manual_seed(1)), None)
    factor = 1 + 0.005 * torch.randn(adapter.dora_scale.shape)
    adapter.dora_scale.mul_(factor)
    x = torch.randn(INPUTS[kind]).to(dtype)
    change = (adapter(x, module) - module(x)).double()
    moved = factor.squeeze(0) if kind == "conv" else factor.view(-1)
    expected = layer.operation()(x.double() * (moved.double() - 1), module.weight.double())
    assert float((change * expected).sum() / expected.square().sum()) == pytest.approx(1, abs=0.03)


@torch.no_grad()
@pytest.mark.parametrize("kind", LAYERS)
def test_magnitudes_of_rows_as_lycoris_writes_them(kind):
    """Of a file that has one for each output channel: they are lengths of rows, not of columns."""
    torch.manual_seed(0)
    module = LAYERS[kind]()
    layer = Layer.of(module)
    inner = LoraAdapter.create(layer, 4, 4.0, torch.Generator().manual_seed(1))
    inner.lora_up.normal_(0, 0.1)
    rows = torch.rand(layer.out_size, 1, *[1] * (module.weight.dim() - 2)) + 0.5
    adapter = DoraAdapter.from_tensors(layer, {"dora_scale": rows}, inner)
    changed = module.weight + inner.delta_weight()
    lengths = changed.flatten(1).norm(dim=1).view(rows.shape)
    wanted = changed * (rows / lengths) - module.weight
    torch.testing.assert_close(adapter.delta_weight(), wanted, rtol=1e-4, atol=1e-6)
    assert adapter.file_tensors()["dora_scale"].shape == rows.shape
    x = torch.randn(INPUTS[kind])
    output = adapter(x, module)
    module.weight += wanted
    torch.testing.assert_close(output, module(x), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", LAYERS)
def test_it_can_be_trained_after_a_preview(kind):
    """Previews are drawn in inference mode; for a resumed run even before its first step."""
    gradients = []
    for is_previewed in (False, True):
        torch.manual_seed(0)
        module = LAYERS[kind]().requires_grad_(False)
        layer = Layer.of(module)
        adapter = DoraAdapter(layer, LoraAdapter.create(layer, 4, 4.0, torch.Generator().manual_seed(1)), None)
        x = torch.randn(INPUTS[kind])
        if is_previewed:
            with torch.inference_mode():
                adapter(x, module)
        adapter(x, module).square().mean().backward()
        gradients.append([parameter.grad for parameter in adapter.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


@torch.no_grad()
def test_a_large_change_of_a_column_of_zeros_is_no_infinity():
    """Such columns belong to input channels that a model was given later."""
    module = nn.Linear(16, 24)
    module.weight[:, :8] = 0
    layer = Layer.of(module)
    adapter = DoraAdapter(layer, LoraAdapter.create(layer, 4, 4.0, torch.Generator().manual_seed(1)), None)
    adapter.inner.lora_up.fill_(100.0)
    adapter.dora_scale.fill_(1.0)
    x = torch.randn(5, 16)
    torch.testing.assert_close(adapter(x, module), module(x) + x @ adapter.delta_weight().mT, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_half_precision_takes_the_same_change_and_gradients(kind):
    torch.manual_seed(0)
    module = LAYERS[kind]().requires_grad_(False)
    grads = []
    for dtype in (torch.float32, torch.bfloat16):
        cast = LAYERS[kind]().to(dtype).requires_grad_(False)
        cast.load_state_dict({name: tensor.bfloat16().to(dtype) for name, tensor in module.state_dict().items()})
        layer = Layer.of(cast)
        adapter = DoraAdapter(layer, LoraAdapter.create(layer, 4, 4.0, torch.Generator().manual_seed(1)), None)
        with torch.no_grad():
            adapter.inner.lora_up.copy_(torch.randn(adapter.inner.lora_up.shape, generator=torch.manual_seed(2)) * 0.1)
            adapter.dora_scale.mul_(1.1)
        x = torch.randn(INPUTS[kind], generator=torch.manual_seed(3)).bfloat16().to(dtype).requires_grad_()
        adapter(x, cast).square().mean().backward()
        grads.append([x.grad.float(), *(parameter.grad for parameter in adapter.parameters())])
    for single, half in zip(*grads, strict=True):
        assert torch.nn.functional.cosine_similarity(single.flatten(), half.flatten(), dim=0) > 0.999
        assert float(half.norm() / single.norm()) == pytest.approx(1, abs=0.01)
