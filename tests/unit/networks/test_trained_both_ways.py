"""This pack's code and LyCORIS's own modules train from one start, side by side, and arrive at one change."""

import copy
import importlib

import pytest
import torch
from lycoris.modules.ia3 import IA3Module
from lycoris.wrapper import network_module_dict
from pack.training.networks.build import create_adapter
from pack.training.networks.settings import NetworkSettings
from pack.training.networks.targets import Target
from torch import nn

STEPS = 12
RANK, ALPHA = 4, 2.0
DORA = {"weight_decompose": True, "wd_on_out": False}
WAYS = {
    "lora": ({"algorithm": "lora"}, "lora", {}),
    "locon": ({"algorithm": "locon"}, "locon", {}),
    "locon rslora": ({"algorithm": "locon", "rank_stabilized": True}, "locon", {"rs_lora": True}),
    "locon dora": ({"algorithm": "locon", "weight_decompose": True}, "locon", DORA),
    "loha": ({"algorithm": "loha"}, "loha", {}),
    "loha dora": ({"algorithm": "loha", "weight_decompose": True}, "loha", DORA),
    "lokr": ({"algorithm": "lokr", "rank": 2}, "lokr", {"lora_dim": 2}),
    "lokr factor": ({"algorithm": "lokr", "rank": 2, "factor": 2}, "lokr", {"lora_dim": 2, "factor": 2}),
    "lokr full": ({"algorithm": "lokr", "full_matrix": True}, "lokr", {"full_matrix": True}),
    "lokr both": ({"algorithm": "lokr", "rank": 1, "decompose_both": True}, "lokr",
                  {"lora_dim": 1, "decompose_both": True}),
    "glora": ({"algorithm": "glora"}, "glora", {}),
    "full": ({"algorithm": "full"}, "full", {}),
    "diag-oft": ({"algorithm": "diag-oft"}, "diag-oft", {}),
    "boft": ({"algorithm": "boft"}, "boft", {}),
    "ia3": ({"algorithm": "ia3"}, "ia3", {}),
    "dylora": ({"algorithm": "dylora", "block_size": RANK}, "dylora", {"block_size": RANK, "alpha": ALPHA / RANK}),
}  # fmt: skip
"""Our settings, the library's name and its arguments.

DyLoRA draws its ranks: a single block leaves one choice. The library trains it at alpha / blocks, not alpha / rank.
"""
IN_FLOAT32 = ("diag-oft", "boft")
"""The library inverts their matrices in it."""
LAYERS = {"linear": lambda: nn.Linear(24, 32), "conv 3x3": lambda: nn.Conv2d(24, 32, 3, padding=1)}
INPUTS = {"linear": (STEPS, 6, 5, 24), "conv 3x3": (STEPS, 2, 24, 6, 5)}
RATE = {"full": 1e-3, "diag-oft": 1e-3, "boft": 1e-3}


def ours(settings, layer):
    made = NetworkSettings(**{"rank": RANK, "alpha": ALPHA, **settings})
    return create_adapter(Target("unet", "to_k", "key", None, layer), made, None, torch.Generator().manual_seed(2))


def theirs(algorithm, options, layer):
    module_class = IA3Module if algorithm == "ia3" else network_module_dict[algorithm]
    arguments = {"lora_dim": RANK, "alpha": ALPHA, "bypass_mode": False, **options}
    return module_class("key", layer, multiplier=1.0, **arguments)


def start_alike(module, adapter):
    """Give the library's module the numbers of ours."""
    file = adapter.native_file_tensors()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(_start_of(name, file, adapter, parameter).reshape(parameter.shape))


def _start_of(name, file, adapter, parameter):
    if name.startswith(("up_list.", "down_list.")):
        return getattr(adapter, "lora_up" if name.startswith("up") else "lora_down")
    if name in ("weight", "bias") and "diff" in file:  # the library trains the weight itself
        return parameter + (file["diff"] if name == "weight" else 0)
    return file[name]


def trained(parameters, answer, inputs, targets, rate):
    """The loss at every step."""
    parameters = [parameter for parameter in parameters if parameter.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=rate)
    losses = []
    for x, wanted in zip(inputs, targets, strict=True):
        loss = (answer(x) - wanted).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("name", WAYS)
def test_both_arrive_at_one_change(name, kind):
    settings, algorithm, options = WAYS[name]
    if name == "lora" and kind != "linear":
        pytest.skip("lora adapts no k x k convolution; locon is the same there")
    torch.manual_seed(1)
    dtype, close = (torch.float32, 1e-4) if name in IN_FLOAT32 else (torch.float64, 1e-7)
    layer = LAYERS[kind]().to(dtype).requires_grad_(False)
    other = copy.deepcopy(layer)
    adapter, module = ours(settings, layer).to(dtype), theirs(algorithm, options, other).to(dtype)
    start_alike(module, adapter)
    module.apply_to()
    module.train()
    for parameter in other.parameters():
        parameter.requires_grad_(False)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    own = [p for n, p in module.named_parameters() if n != "bias" or algorithm != "full"]
    inputs = torch.randn(INPUTS[kind], dtype=dtype)
    targets = [layer(x) + 0.3 * torch.randn_like(layer(x)) for x in inputs]
    rate = RATE.get(name, 1e-2)
    found = trained(list(adapter.parameters()), lambda x: adapter(x, layer), inputs, targets, rate)
    wanted = trained(own, other, inputs, targets, rate)
    assert found == pytest.approx(wanted, rel=close)
    adapter.eval()
    module.eval()
    x = inputs[0]
    assert (adapter(x, layer) - layer(x)).abs().max() > 1e-3, "nothing was learned"
    torch.testing.assert_close(adapter(x, layer), other(x), rtol=close, atol=10 * close)


def test_every_algorithm_of_both_is_compared():
    """T-LoRA apart: the library's starts from singular vectors, which `algorithm: lycoris` computes."""
    algorithms = importlib.import_module("pack.training.networks.algorithms")
    here = {one.name for one in algorithms.ALGORITHMS} - {"lycoris", "tlora"}
    assert here == {settings["algorithm"] for settings, _, _ in WAYS.values()}
    assert set(network_module_dict) - {"tlora", "lora"} <= {name for _, name, _ in WAYS.values()} | {"lora"}
