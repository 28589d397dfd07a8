"""Every algorithm on the host's own layers as they are inside training, against the change merged into the weight."""

import pytest
import torch
from pack.tests.support.cases import combined
from pack.tests.unit.networks.layers import ALGORITHMS, merged, trained
from torch import nn

pytestmark = pytest.mark.comfy

# Large enough for oneDNN and for changes of the weight, and too small for both.
SHAPES = {"linear": (2, 300, 96), "linear rows": (700, 96), "linear small": (3, 5, 96), "point": (2, 96, 20, 20),
          "spatial": (2, 32, 9, 9)}  # fmt: skip
cases = pytest.mark.parametrize(("algorithm", "kind"), combined(ALGORITHMS, SHAPES, step=3))


@pytest.fixture
def root(comfy, request):
    """The host's layer inside training."""
    from pack.nodes.comfy_bridge.model.frozen_layers import frozen_layers

    kind = request.getfixturevalue("kind")
    ops = comfy.module("comfy.ops").disable_weight_init
    torch.manual_seed(3)
    layer = {"point": lambda: ops.Conv2d(96, 64, 1), "spatial": lambda: ops.Conv2d(32, 48, 3, padding=1)}.get(
        kind, lambda: ops.Linear(96, 64)
    )()
    root = nn.Sequential(layer).requires_grad_(False)
    for parameter in root.parameters():
        parameter.normal_(0, 0.1)
    with torch.inference_mode(False), frozen_layers(root):
        yield root


@cases
def test_outputs_and_gradients(root, kind, algorithm):
    for needs_x in (True, False):
        check_outputs_and_gradients(root[0], kind, algorithm, needs_x)


def check_outputs_and_gradients(module, kind, algorithm, needs_x):
    adapter = trained(algorithm, module).float()
    x = torch.randn(SHAPES[kind]).requires_grad_(needs_x)
    inputs = [*([x] if needs_x else []), *adapter.parameters()]
    plain = module.__dict__.pop("forward")
    wanted = merged(module, adapter, x)
    module.forward = plain
    found = adapter(x, module.forward)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4)
    direction = torch.randn(wanted.shape)
    grads = torch.autograd.grad((found * direction).sum(), inputs)
    for grad, other in zip(grads, torch.autograd.grad((wanted * direction).sum(), inputs), strict=True):
        assert (grad - other).norm() <= 1e-3 * other.norm() + 1e-4
    with torch.no_grad():
        torch.testing.assert_close(adapter(x, module.forward), wanted, rtol=1e-3, atol=1e-4)


@cases
def test_trained_with_dropout(root, kind, algorithm):
    for rates in ((0.3, 0.0), (0.0, 0.3)):
        check_trained_with_dropout(root[0], kind, algorithm, rates)


def check_trained_with_dropout(module, kind, algorithm, rates):
    adapter = trained(algorithm, module).float()
    adapter.bind(adapter.draws, 0, *rates)
    adapter.draws.begin(1, 1, 0, None)
    adapter.train(True)
    for x in (torch.randn(SHAPES[kind]), torch.randn(SHAPES[kind]).requires_grad_()):
        adapter(x, module.forward).square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in adapter.parameters() if p.requires_grad)


@pytest.mark.parametrize("kind", ["linear", "point"])
def test_a_forward_of_another_node_that_keeps_its_output_is_not_changed_unseen(comfy, kind):
    """Tanh needs its output in the backward pass, and the change may not be added to that one."""
    from pack.nodes.comfy_bridge.model.frozen_layers import frozen_layers

    ops = comfy.module("comfy.ops").disable_weight_init
    with torch.inference_mode(False):
        module = (ops.Linear(96, 64) if kind == "linear" else ops.Conv2d(96, 64, 1)).requires_grad_(False)
        for parameter in module.parameters():
            parameter.normal_(0, 0.1)
        own = module.forward
        module.forward = lambda x: torch.tanh(own(x))
        x = torch.randn(SHAPES[kind]).requires_grad_()
        with frozen_layers(nn.Sequential(module)):
            adapter = trained("locon", module).float()
            grads = torch.autograd.grad(adapter(x, module.forward).square().sum(), [x, *adapter.parameters()])
        change = adapter.layer.operation()(x, adapter.delta_weight())
        wanted = torch.autograd.grad((torch.tanh(own(x)) + change).square().sum(), [x, *adapter.parameters()])
    for grad, other in zip(grads, wanted, strict=True):
        assert (grad - other).norm() <= 1e-4 * other.norm()


@pytest.mark.parametrize("kind", ["linear", "point", "spatial", "group norm", "layer norm"])
def test_layers_whose_weight_is_cast_give_torch_s_gradients(comfy, kind):
    """Half-precision weights, a float32 input: as if the weights were float32."""
    from pack.nodes.comfy_bridge.model.frozen_layers import frozen_layers, needs_cast

    ops = comfy.module("comfy.ops").manual_cast
    make, shape = {
        "linear": (lambda: ops.Linear(24, 16), (2, 5, 24)),
        "point": (lambda: ops.Conv2d(24, 16, 1), (2, 24, 4, 5)),
        "spatial": (lambda: ops.Conv2d(24, 16, 3, stride=2, padding=1), (2, 24, 7, 5)),
        "group norm": (lambda: ops.GroupNorm(4, 24), (2, 24, 4, 5)),
        "layer norm": (lambda: ops.LayerNorm(24), (2, 5, 24)),
    }[kind]
    with torch.inference_mode(False):
        module = make().requires_grad_(False)
        for parameter in module.parameters():
            parameter.normal_(0.5, 0.3)
        module = module.half()
        assert needs_cast(module)
        x = torch.randn(shape).requires_grad_()
        with frozen_layers(nn.Sequential(module)):
            (found,) = torch.autograd.grad(module(x).square().sum(), x)
        plain = {"linear": nn.Linear, "group norm": nn.GroupNorm, "layer norm": nn.LayerNorm}.get(kind, nn.Conv2d)
        (wanted,) = torch.autograd.grad(plain.forward(module.float(), x).square().sum(), x)
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-5)
