"""Operations that a step asks of a GPU, beside a plain LoRA module under autocast: `dev.py bench --only launches`.

SDXL at 1024 x 1024, batch 1, rank 16, float16, gradient checkpointing, on shapes without data. Views and new tensors
without content are no operations. One over a list of tensors counts as on CUDA, whose kernels take 110 tensors at once.
Small operations cost a GPU more time to start than to compute.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.utils import clip_grad_norm_
from torch.utils._python_dispatch import TorchDispatchMode

from ...training.networks.network import Network
from ...training.networks.targets import select_targets
from ..layouts import SDXL, Layout, host_model, weight_shapes
from .contest import Case
from .pack_trainer import base_model
from .sdxl import left_where_it_is, prediction

TENSORS_A_KERNEL = 110
FREE = frozenset({
    "view", "_unsafe_view", "t", "transpose", "permute", "expand", "slice", "select", "unsqueeze", "squeeze", "detach",
    "alias", "as_strided", "reshape", "_reshape_alias", "split", "split_with_sizes", "chunk", "unbind", "mT", "unfold",
    "view_as", "empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "lift_fresh", "is_pinned",
    "set_", "resize_",
})  # fmt: skip
"""Names of operations that start no kernel."""
SCALE = 2.0**16


class Launches(TorchDispatchMode):
    """Counts operations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Count one operation and let it run."""
        made = func(*args, **(kwargs or {}))
        name = func._schema.name.partition("::")[2]
        if name.startswith(("_foreach", "_fused")):
            self.names[name] += math.ceil(len(args[0]) / TENSORS_A_KERNEL)
        elif name not in FREE and any(isinstance(one, Tensor) for one in (made if isinstance(made, tuple) else [made])):
            self.names[name] += 1  # others ask for a device or a size
        return made

    @property
    def count(self) -> int:
        """Of all names."""
        return self.names.total()


class PlainLora(nn.Module):
    """LoRA as a module around a layer, written plainly: two layers, a sum and two factors."""

    def __init__(self, module: nn.Module, rank: int) -> None:
        super().__init__()
        if isinstance(module, nn.Conv2d):
            sizes = module.in_channels, rank, module.kernel_size, module.stride, module.padding
            self.down: nn.Module = nn.Conv2d(*sizes, bias=False)  # pyright: ignore
            self.up: nn.Module = nn.Conv2d(rank, module.out_channels, 1, bias=False)
        else:
            assert isinstance(module, nn.Linear)
            self.down = nn.Linear(module.in_features, rank, bias=False)
            self.up = nn.Linear(rank, module.out_features, bias=False)
        self._frozen, self.strength, self.scale = module.forward, 1.0, 1.0
        module.forward = self.forward

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """The layer's output and the change."""
        return self._frozen(input) + self.up(self.down(input)) * self.strength * self.scale


def main(_arguments: list[str]) -> None:
    """Print the counts of every contestant."""
    print(json.dumps({name: count(SDXL, 128, 16, name) for name in ("plain", "pack")}))


def count(layout: Layout, latent: int, rank: int, contestant: str) -> dict[str, int]:
    """Operations of a step's passes and of what follows them: unscaling, clipping, AdamW."""
    case = Case(layout_name=layout.name, latent=latent, rank=rank, checkpointing="on")
    with FakeTensorMode(allow_non_fake_inputs=True), left_where_it_is():
        weights = {name: torch.empty(shape, dtype=torch.float16) for name, shape in weight_shapes(layout).items()}
        base = base_model(case, host_model(layout, weights, torch.float16))
        is_plain = contestant == "plain"
        with base.training(is_text_trained=False), (_plain if is_plain else _ours)(case, base) as parameters:
            counts = _counted(case, base, parameters, is_plain=is_plain)
    return counts


def _counted(case: Case, base: Any, parameters: list[nn.Parameter], *, is_plain: bool) -> dict[str, int]:
    with Launches() as forward:
        with torch.autocast("cpu", torch.float16, enabled=is_plain):
            predicted = prediction(case, base)
        loss = predicted.float().square().mean() * SCALE
    with Launches() as backward:
        loss.backward()
    counts = {"forward": forward.count, "backward": backward.count}
    for name, is_foreach in (("after, lists", True), ("after, tensor by tensor", False)):
        optimizer = torch.optim.AdamW(parameters, lr=1e-4, foreach=is_foreach)
        optimizer.step()  # makes its state
        with Launches() as after:
            gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
            torch._foreach_mul_(gradients, 1 / SCALE)  # pyright: ignore
            clip_grad_norm_(parameters, 1.0, foreach=is_foreach)
            optimizer.step()
        counts[name] = after.count
    return counts


@contextmanager
def _ours(case: Case, base: Any) -> Iterator[list[nn.Parameter]]:
    network = Network.create(base.parts(), base.family, case.network(), seed=0)
    network.attach()
    network.train()
    network.begin(0, 0, 0)
    yield [parameter for _, parameter in network.named_parameters()]
    network.detach()


@contextmanager
def _plain(case: Case, base: Any) -> Iterator[list[nn.Parameter]]:
    modules = [target.module for target in select_targets(base.parts(), base.family, case.network())]
    before = [module.forward for module in modules]
    yield [parameter for module in modules for parameter in PlainLora(module, case.rank).parameters()]
    for module, forward in zip(modules, before, strict=True):
        module.forward = forward
