"""Gain of each trick of `training/networks/processor.py`: `start.py tricks LAYOUT WEIGHTS` prints JSON.

In one process every second step runs without one of the tricks, in turn, so that other load affects all equally. A
figure is the CPU time of such a step divided by the mean of the steps before and after, which use all tricks. A step is
a whole one of SD1.5's training; with `--quick` it is forward and backward through the layers of a transformer block at
each of SD1.5's three sizes, which leaves out attention, 3 x 3 convolutions and the optimizer.
"""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from torch import Tensor, nn

from ...training.networks.layer import Layer
from ...training.networks.lora import LoraAdapter
from ...training.networks.low_rank import Lender, own_tensors
from ...training.networks.processor import TRICKS, switched_off
from .contest import Case
from .worker import Finished, contestant

NUM_ROUNDS = 5
SIZES = ((320, 32), (640, 16), (1280, 8))
"""Channels, and rows and columns of the features, for latents of 32 x 32."""
CONTEXT = (77, 768)
RANK = 16


class TrickGate:
    """Called after each step: records its time, then chooses the trick to leave out next."""

    def __init__(self) -> None:
        self._order = [None, *(step for trick in NUM_ROUNDS * TRICKS for step in (trick, None))]
        self._started = 0.0
        self.seconds: list[tuple[str | None, float]] = []

    def __call__(self) -> None:
        """The first step only warms up."""
        if self._started:
            self.seconds.append((self._order[len(self.seconds)], time.process_time() - self._started))
        if len(self.seconds) == len(self._order):
            raise Finished
        switched_off.clear()
        if trick := self._order[len(self.seconds)]:
            switched_off.add(trick)
        self._started = time.process_time()


def ratios(seconds: list[tuple[str | None, float]]) -> dict[str, list[float]]:
    """By trick, the time of a step without it over the mean of its neighbors with all."""
    found: dict[str, list[float]] = {}
    for before, (trick, own), after in zip(seconds, seconds[1:], seconds[2:], strict=False):
        if trick is not None:
            found.setdefault(trick, []).append(round(2 * own / (before[1] + after[1]), 3))
    return found


class _Frozen:
    """A frozen layer's forward that lends its tensors, like the bridge's."""

    def __init__(self, module: nn.Linear | nn.Conv2d) -> None:
        self.module = module.requires_grad_(False)

    def __call__(self, x: Tensor) -> Tensor:
        return self.module(x)

    def lender(self, x: Tensor) -> Lender | None:
        return own_tensors(self.module, x)


def block_layers() -> Iterator[tuple[_Frozen, Tensor]]:
    """The layers of a transformer block at each size, and inputs for them."""
    for channels, side in SIZES:
        features = torch.randn(1, side * side, channels)
        for _ in range(6):  # queries, keys and values of self-attention, one query, two outputs
            yield _Frozen(nn.Linear(channels, channels)), features
        for _ in range(2):
            yield _Frozen(nn.Linear(CONTEXT[1], channels)), torch.randn(1, *CONTEXT)
        yield _Frozen(nn.Linear(channels, 8 * channels)), features
        yield _Frozen(nn.Linear(4 * channels, channels)), torch.randn(1, side * side, 4 * channels)
        for _ in range(2):
            yield _Frozen(nn.Conv2d(channels, channels, 1)), torch.randn(1, channels, side, side)


def train_layers(gate: Callable[[], None]) -> None:
    """Forward and backward through every layer with its adapter, until the gate ends it."""
    layers: list[tuple[_Frozen, Tensor, LoraAdapter]] = []
    for frozen, x in block_layers():
        adapter = LoraAdapter.create(Layer.of(frozen.module), RANK, RANK, torch.Generator().manual_seed(0))
        layers.append((frozen, x.requires_grad_(), adapter))
    while True:
        for frozen, x, adapter in layers:
            output = adapter(x, frozen)
            output.backward(torch.ones_like(output))
        gate()


def main(arguments: list[str]) -> None:
    """Train one network, or the layers, for all rounds."""
    train = train_layers
    if arguments[0] == "sd15":
        train, _ = contestant("pack", Case(layout_name="sd15", latent=32), Path(arguments[1]))
    gate = TrickGate()
    try:
        with torch.inference_mode(False):
            train(gate)  # pyright: ignore[reportArgumentType]
    except Finished:
        found = ratios(gate.seconds)
        print(json.dumps({"median": {trick: median(one) for trick, one in found.items()}, "steps": found}))
