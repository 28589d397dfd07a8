"""Every algorithm and every kind of layer, for tests of single adapters in float64."""

import torch
import torch.nn.functional as F
from pack.training.networks.adapter import Adapter
from pack.training.networks.build import create_adapter
from pack.training.networks.settings import NetworkSettings
from pack.training.networks.targets import Target
from torch import nn

ALGORITHMS = {
    "lora": {"algorithm": "lora"},
    "locon": {"algorithm": "locon", "conv_rank": 2, "conv_alpha": 3.0},
    "rslora": {"algorithm": "locon", "rank_stabilized": True},
    "dora": {"algorithm": "locon", "weight_decompose": True},
    "lora dora": {"algorithm": "lora", "weight_decompose": True},
    "dora rslora": {"algorithm": "locon", "weight_decompose": True, "rank_stabilized": True},
    "loha": {"algorithm": "loha"},
    "loha rslora": {"algorithm": "loha", "rank_stabilized": True},
    "loha dora": {"algorithm": "loha", "weight_decompose": True},
    "lokr": {"algorithm": "lokr", "rank": 2},
    "lokr factor": {"algorithm": "lokr", "rank": 2, "factor": 2},
    "lokr full matrix": {"algorithm": "lokr", "full_matrix": True},
    "lokr decompose both": {"algorithm": "lokr", "rank": 1, "decompose_both": True},
    "lokr rslora": {"algorithm": "lokr", "rank": 2, "rank_stabilized": True},
    "lokr dora": {"algorithm": "lokr", "rank": 2, "weight_decompose": True},
    "lokr dora decompose both": {"algorithm": "lokr", "rank": 1, "decompose_both": True, "weight_decompose": True},
    "lokr dora full matrix": {"algorithm": "lokr", "full_matrix": True, "weight_decompose": True},
    "dylora": {"algorithm": "dylora", "block_size": 2},
    "tlora": {"algorithm": "tlora"},
    "ia3": {"algorithm": "ia3"},
    "glora": {"algorithm": "glora"},
    "glora rslora": {"algorithm": "glora", "rank_stabilized": True},
    "full": {"algorithm": "full"},
    "full bias": {"algorithm": "full", "train_bias": True},
    "diag-oft": {"algorithm": "diag-oft"},
    "boft": {"algorithm": "boft"},
    "lycoris": {"algorithm": "lycoris", "lycoris_arguments": "algo=locon use_scalar=True"},
    "lycoris lokr": {"algorithm": "lycoris", "lycoris_arguments": "algo=lokr factor=2 decompose_both=True"},
}
LAYERS = {
    "linear": (lambda: nn.Linear(24, 32), (3, 5, 24)),
    "linear no bias": (lambda: nn.Linear(36, 16, bias=False), (7, 36)),
    "conv1x1": (lambda: nn.Conv2d(24, 32, 1), (2, 24, 4, 5)),
    "conv3x3": (lambda: nn.Conv2d(24, 16, 3, stride=2, padding=1), (2, 24, 6, 5)),
}


def layer_and_input(kind: str) -> tuple[nn.Module, torch.Tensor]:
    """A frozen float64 layer and an input for it."""
    make, shape = LAYERS[kind]
    torch.manual_seed(1)
    module = make().double().requires_grad_(False)
    return module, torch.randn(shape, dtype=torch.float64)


def fresh(algorithm: str, module: nn.Module, path: str = "block.to_k") -> Adapter:
    """An adapter as it starts."""
    settings = NetworkSettings(**{"rank": 4, "alpha": 2.0, **ALGORITHMS[algorithm]})
    target = Target("unet", path, "key", None, module)
    return create_adapter(target, settings, None, torch.Generator().manual_seed(2)).double()


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


def assert_equal_gradients(found: torch.Tensor, wanted: torch.Tensor, inputs: list[torch.Tensor]) -> None:
    """The gradients of two float64 outputs, weighted by one random direction, are the same."""
    direction = torch.randn(wanted.shape, dtype=torch.float64)
    grads = torch.autograd.grad((found * direction).sum(), inputs)
    for grad, expected in zip(grads, torch.autograd.grad((wanted * direction).sum(), inputs), strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-8, atol=1e-8)
