"""The contract of every algorithm on every kind of layer, in float64 against independent references."""

import copy

import pytest
import torch
import torch.nn.functional as F
from pack.tests.support.cases import combined
from pack.tests.unit.networks.layers import (
    ALGORITHMS,
    LAYERS,
    assert_equal_gradients,
    fresh,
    layer_and_input,
    merged,
    trained,
)
from pack.training.networks.build import adapter_from_tensors, create_adapter
from pack.training.networks.norm import NormAdapter
from pack.training.networks.rebuild import RebuiltLayer
from pack.training.networks.settings import NetworkSettings
from pack.training.networks.targets import Target
from torch import nn

cases = pytest.mark.parametrize(("algorithm", "kind"), combined(ALGORITHMS, LAYERS))
"""Every day each algorithm on a linear layer and a convolution."""


@cases
def test_no_change_at_the_start(algorithm: str, kind: str):
    module, x = layer_and_input(kind)
    adapter = fresh(algorithm, module)
    # DoRA divides by the norm it multiplies with, in float32 at its start.
    tolerance = 1e-6 if "dora" in algorithm else 0
    torch.testing.assert_close(adapter(x, module), module(x), rtol=0, atol=tolerance)
    torch.testing.assert_close(merged(module, adapter, x), module(x), rtol=0, atol=max(tolerance, 1e-14))


@cases
def test_attached_equals_merged_and_rebuilt(algorithm: str, kind: str):
    """The path beside the frozen layer is the layer run with W + delta, at any strength, and so are its gradients.

    What rebuilds the weight in the backward pass gives the same.
    """
    module, x = layer_and_input(kind)
    adapter = trained(algorithm, module)
    x.requires_grad_(True)
    attached, reference = adapter(x, module), merged(module, adapter, x)
    assert (reference - module(x)).abs().max() > 1e-3
    torch.testing.assert_close(attached, reference, rtol=1e-10, atol=1e-10)
    assert_equal_gradients(attached, reference, [x, *adapter.parameters()])

    parameters = [parameter for name, parameter in adapter.named_parameters() if not name.endswith("diff_b")]
    rebuilt = module(x) + RebuiltLayer.apply(x, adapter.layer, adapter.delta_weight, *parameters)
    assert_equal_gradients(adapter(x, module), rebuilt, [x, *parameters])

    for strength in (0.3, 0.0):
        adapter.set_strength(strength)
        torch.testing.assert_close(adapter(x, module), merged(module, adapter, x, strength), rtol=1e-10, atol=1e-10)


@cases
def test_read_back_from_its_file(algorithm: str, kind: str):
    native = algorithm == "ia3"
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


NORMS = {
    "group norm": (lambda: nn.GroupNorm(4, 16), (2, 16, 3, 5)),
    "layer norm": (lambda: nn.LayerNorm(16), (2, 7, 16)),
}
norms = pytest.mark.parametrize("kind", NORMS)


def norm_and_input(kind: str):
    """A frozen float64 layer away from the identity, an input, and a fresh adapter."""
    make, shape = NORMS[kind]
    torch.manual_seed(1)
    module = make().double().requires_grad_(False)
    module.weight.normal_(1.0, 0.3)
    module.bias.normal_(0.0, 0.3)
    target = Target("unet", "block.norm1", "key", None, module)
    settings = NetworkSettings(train_norms=True)
    adapter = create_adapter(target, settings, None, torch.Generator().manual_seed(2)).double()
    assert isinstance(adapter, NormAdapter)
    return module, torch.randn(shape, dtype=torch.float64), adapter


def trained_norm(adapter: NormAdapter) -> NormAdapter:
    source = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=source, dtype=torch.float64) * 0.1)
    return adapter


def merged_norm(module: nn.Module, adapter: NormAdapter, x: torch.Tensor, share: float = 1.0) -> torch.Tensor:
    weight, bias = module.weight + share * adapter.delta_weight(), module.bias + share * adapter.delta_bias()
    if isinstance(module, nn.GroupNorm):
        return F.group_norm(x, module.num_groups, weight, bias, module.eps)
    return F.layer_norm(x, module.normalized_shape, weight, bias, module.eps)


@norms
def test_norms_start_without_a_change(kind):
    module, x, adapter = norm_and_input(kind)
    assert torch.equal(adapter(x, module), module(x))


@norms
@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_norms_attached_equal_merged_forward_and_backward(kind, strength):
    module, x, adapter = norm_and_input(kind)
    trained_norm(adapter).set_strength(strength)
    x.requires_grad_(True)
    attached, reference = adapter(x, module), merged_norm(module, adapter, x, strength)
    assert (reference - module(x)).abs().max() > 1e-2
    torch.testing.assert_close(attached, reference, rtol=1e-10, atol=1e-10)
    direction = torch.randn(attached.shape, dtype=torch.float64)
    inputs = [x, *adapter.parameters()]
    grads = torch.autograd.grad((attached * direction).sum(), inputs)
    expected = torch.autograd.grad((reference * direction).sum(), inputs)
    for grad, wanted in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, wanted, rtol=1e-8, atol=1e-8)


@norms
@pytest.mark.parametrize("names", [("w_norm", "b_norm"), ("diff", "diff_b")])
def test_norms_are_read_back_from_their_file_and_from_others(kind, names):
    module, x, adapter = norm_and_input(kind)
    file = trained_norm(adapter).file_tensors()
    tensors = dict(zip(names, file.values(), strict=True))
    back = adapter_from_tensors(module, tensors)
    assert back is not None and not tensors
    torch.testing.assert_close(back.double()(x, module), adapter(x, module), rtol=1e-5, atol=1e-5)
    assert back.file_tensors().keys() == file.keys()
