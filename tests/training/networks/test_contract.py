"""The contract of every algorithm on every kind of layer, in float64 against independent references."""

import copy

import pytest
import torch
import torch.nn.functional as F
from pack.training.networks.adapter import Adapter
from pack.training.networks.algorithms import adapter_from_tensors, create_adapter, size_of
from pack.training.networks.layer import Layer
from pack.training.networks.settings import NetworkSettings
from pack.training.networks.targets import Target
from torch import nn

ALGORITHMS = {
    "lora": {"algorithm": "lora"},
    "locon": {"algorithm": "locon", "conv_rank": 2, "conv_alpha": 3.0},
    "rslora": {"algorithm": "locon", "rank_stabilized": True},
    "dora": {"algorithm": "locon", "weight_decompose": True},
    "loha": {"algorithm": "loha"},
    "loha dora": {"algorithm": "loha", "weight_decompose": True},
    "lokr": {"algorithm": "lokr", "rank": 2},
    "lokr factor": {"algorithm": "lokr", "rank": 2, "factor": 2},
    "lokr full matrix": {"algorithm": "lokr", "full_matrix": True},
    "lokr decompose both": {"algorithm": "lokr", "rank": 1, "decompose_both": True},
    "lokr dora": {"algorithm": "lokr", "rank": 2, "weight_decompose": True},
    "dylora": {"algorithm": "dylora", "block_size": 2},
    "ia3": {"algorithm": "ia3"},
    "glora": {"algorithm": "glora"},
    "full": {"algorithm": "full"},
    "full bias": {"algorithm": "full", "train_bias": True},
    "diag-oft": {"algorithm": "diag-oft"},
    "boft": {"algorithm": "boft"},
}
LAYERS = {
    "linear": (lambda: nn.Linear(24, 32), (3, 5, 24)),
    "linear no bias": (lambda: nn.Linear(36, 16, bias=False), (7, 36)),
    "conv1x1": (lambda: nn.Conv2d(24, 32, 1), (2, 24, 4, 5)),
    "conv3x3": (lambda: nn.Conv2d(24, 16, 3, stride=2, padding=1), (2, 24, 6, 5)),
    "conv3x3 dilated": (lambda: nn.Conv2d(16, 24, 3, padding=2, dilation=2, bias=False), (1, 16, 6, 6)),
}
EVERYWHERE = [(a, b) for a in ALGORITHMS for b in LAYERS]
cases = pytest.mark.parametrize(("algorithm", "kind"), EVERYWHERE)


def layer_and_input(kind: str) -> tuple[nn.Module, torch.Tensor]:
    make, shape = LAYERS[kind]
    torch.manual_seed(1)
    module = make().double().requires_grad_(False)
    return module, torch.randn(shape, dtype=torch.float64)


def fresh(algorithm: str, module: nn.Module, path: str = "block.to_k") -> Adapter:
    options = {"rank": 4, "alpha": 2.0, **ALGORITHMS[algorithm]}
    if isinstance(module, nn.Conv2d) is False or module.kernel_size == (1, 1):
        options.pop("conv_rank", None)
    settings = NetworkSettings(**options)
    layer, target = Layer.of(module), Target("unet", path, "key", None, module)
    source = torch.Generator().manual_seed(2)
    return create_adapter(target, layer, size_of(target, layer, settings, None), settings, source).double()


def trained(algorithm: str, module: nn.Module, path: str = "block.to_k", scale: float = 0.1) -> Adapter:
    """An adapter whose parameters are all away from their start."""
    adapter = fresh(algorithm, module, path)
    source = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=source, dtype=torch.float64) * scale)
    return adapter


def merged(module: nn.Module, adapter: Adapter, x: torch.Tensor, share: float = 1.0) -> torch.Tensor:
    """The layer's output with its weight and bias changed."""
    weight = module.weight + share * adapter.delta_weight()
    delta_bias = adapter.delta_bias()
    bias = module.bias if delta_bias is None else module.bias + share * delta_bias
    if isinstance(module, nn.Conv2d):
        return F.conv2d(x, weight, bias, module.stride, module.padding, module.dilation)
    return F.linear(x, weight, bias)


@cases
def test_no_change_at_the_start(algorithm: str, kind: str):
    module, x = layer_and_input(kind)
    adapter = fresh(algorithm, module)
    # DoRA divides by the norm it multiplies with, in float32 at its start.
    tolerance = 1e-6 if "dora" in algorithm else 0
    torch.testing.assert_close(adapter(x, module), module(x), rtol=0, atol=tolerance)
    torch.testing.assert_close(merged(module, adapter, x), module(x), rtol=0, atol=max(tolerance, 1e-14))


@cases
def test_attached_equals_merged_forward_and_backward(algorithm: str, kind: str):
    module, x = layer_and_input(kind)
    adapter = trained(algorithm, module)
    x.requires_grad_(True)
    inputs = [x, *adapter.parameters()]
    attached, reference = adapter(x, module), merged(module, adapter, x)
    assert (reference - module(x)).abs().max() > 1e-3
    torch.testing.assert_close(attached, reference, rtol=1e-10, atol=1e-10)
    direction = torch.randn(attached.shape, dtype=torch.float64)
    grads = torch.autograd.grad((attached * direction).sum(), inputs)
    expected = torch.autograd.grad((reference * direction).sum(), inputs)
    for grad, wanted in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-8, atol=1e-8)


@cases
def test_strength_scales_the_weight_change(algorithm: str, kind: str):
    module, x = layer_and_input(kind)
    adapter = trained(algorithm, module)
    adapter.set_strength(0.3)
    torch.testing.assert_close(adapter(x, module), merged(module, adapter, x, 0.3), rtol=1e-10, atol=1e-10)
    adapter.set_strength(0.0)
    torch.testing.assert_close(adapter(x, module), module(x), rtol=1e-12, atol=1e-12)


@cases
@pytest.mark.parametrize("native", [False, True])
def test_read_back_from_its_file(algorithm: str, kind: str, native: bool):
    module, x = layer_and_input(kind)
    adapter = trained(algorithm, module)
    file = adapter.native_file_tensors() if native else adapter.file_tensors()
    assert not any(tensor.requires_grad for tensor in file.values())
    tensors = dict(file)
    back = adapter_from_tensors(module, tensors)
    assert back is not None and not tensors
    torch.testing.assert_close(back.double()(x, module), adapter(x, module), rtol=1e-5, atol=1e-5)
    again = back.native_file_tensors() if native else back.file_tensors()
    assert again.keys() == file.keys()


@cases
def test_norm_is_that_of_the_whole_change_and_shrinks_to_the_limit(algorithm: str, kind: str):
    module, _ = layer_and_input(kind)
    adapter = trained(algorithm, module)
    norm = adapter.delta_weight().norm()
    torch.testing.assert_close(adapter.delta_norm(), norm, rtol=1e-10, atol=1e-12)
    adapter.shrink(0.25)
    torch.testing.assert_close(adapter.delta_weight().norm(), 0.25 * norm, rtol=1e-4, atol=0)


@cases
def test_half_precision_input_float32_parameters(algorithm: str, kind: str):
    module, x = layer_and_input(kind)
    adapter = trained(algorithm, module).float()
    module, x = module.bfloat16(), x.bfloat16().requires_grad_(True)
    output = adapter(x, module)
    assert output.dtype == torch.bfloat16
    output.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in adapter.parameters())
    wide = copy.deepcopy(module).double()
    reference = merged(wide, trained(algorithm, wide), x.detach().double())
    if "dora" not in algorithm:
        assert (output.double() - reference).norm() < 0.02 * reference.norm()


def test_ia3_on_the_input_side():
    module, x = layer_and_input("linear")
    adapter = trained("ia3", module, "transformer_blocks.0.ff.net.2")
    assert adapter.on_input
    torch.testing.assert_close(adapter(x, module), merged(module, adapter, x), rtol=1e-10, atol=1e-10)
