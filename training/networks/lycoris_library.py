"""What the library's modules are given: a layer to stand beside, draws by name, T-LoRA's noise level."""

import random
from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from .layer import Layer

TIMESTEPS = 1000
random_of_torch: Any = torch.random  # has no types


@contextmanager
def seeded(seed: int, device: torch.device) -> Generator[None]:
    """Inside, the global generators give what the seed says; after it they are where they were."""
    state = random.getstate()
    cards = [device] if device.type == "cuda" else []
    with random_of_torch.fork_rng(devices=cards):
        torch.default_generator.manual_seed(seed)
        for card in cards:
            with torch.cuda.device(card):
                torch.cuda.manual_seed(seed)
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)


@contextmanager
def placed(module: Any, **attributes: object) -> Generator[None]:
    """Inside, plain attributes of a module have other values; never as parts of it, whatever they are."""
    before = {name: module.__dict__[name] for name in attributes}
    module.__dict__.update(attributes)
    try:
        yield
    finally:
        module.__dict__.update(before)


def weight_change(module: Any, device: torch.device) -> Tensor:
    """The change of the weight by which a module of the library computes, with its draws where it trains.

    It is what its own forward multiplies with: its other functions do not all agree with that (LoHa's scale twice).
    """
    is_beside: list[bool] = []

    def nothing(x: Tensor, *_: object, **__: object) -> Tensor:
        is_beside.append(True)
        return torch.zeros((), device=device)

    def kept(x: Tensor, weight: Tensor, *_: object, **__: object) -> Tensor:
        return weight

    with placed(module, org_forward=nothing, op=kept, bypass_mode=False):
        change = module(torch.zeros(1, device=device, dtype=next(module.parameters()).dtype))
    return change if is_beside else change - module.org_module[0].weight


@contextmanager
def masked(noise: float | None, rank: int) -> Generator[None]:
    """Inside, T-LoRA's ranks are those of a noise level 0..1, by the library's own rule."""
    if noise is None:
        yield
        return
    library = import_module("lycoris.modules.tlora")
    library.set_timestep_mask(library.compute_timestep_mask(round(noise * TIMESTEPS), TIMESTEPS, rank))
    try:
        yield
    finally:
        library.clear_timestep_mask()


class FrozenLayer:
    """What the library asks of the layer it changes, once it is made: the weight as the host has it now."""

    bias = None

    def __init__(self, layer: Layer, module: nn.Module) -> None:
        self._layer, self._module = layer, module

    @property
    def weight(self) -> Tensor:
        """On the adapter's device, at least float32."""
        return self._layer.weight(next(self._module.parameters()).device)


def stand_in(layer: Layer) -> nn.Module:
    """A plain layer of the same sizes and weight for the library's constructor."""
    if layer.is_conv:
        geometry: Any = layer.geometry()
        sizes: Any = (layer.in_size, layer.out_size, layer.weight_shape[2:], *geometry)
        module: Any = nn.Conv2d(*sizes, bias=False, device="meta")
    else:
        module = nn.Linear(layer.in_size, layer.out_size, bias=False, device="meta")
    module.weight = nn.Parameter(layer.weight(torch.device("cpu")).float(), requires_grad=False)
    return module
