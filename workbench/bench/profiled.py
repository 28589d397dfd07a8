"""Where a step's time goes: `start.py profiled LAYOUT WEIGHTS` prints JSON, milliseconds by kind of work.

Measured by PyTorch's profiler: the own time of operations, and Python's time between them.
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from .contest import Case
from .kinds import kind_of
from .worker import Finished, contestant

CONTESTANTS = ("bound", "bound_products", "pack")
STEPS = 2
"""Profiled steps, after one that is not."""


class ProfilingGate:
    """Called after each optimizer step."""

    def __init__(self) -> None:
        self._count = 0
        self._profile: Any = profile(activities=[ProfilerActivity.CPU])
        self.milliseconds: Counter[str] = Counter()

    def __call__(self) -> None:
        """Start after the first step, end after the last."""
        self._count += 1
        if self._count == 1:
            self._profile.__enter__()
        if self._count == 1 + STEPS:
            self._profile.__exit__(None, None, None)
            for event in self._profile.key_averages():
                self.milliseconds[kind_of(event.key)] += event.self_cpu_time_total / 1000 / STEPS
            raise Finished


def main(arguments: list[str]) -> None:
    """Profile each contestant in turn."""
    case = Case(layout_name=arguments[0], latent=32 if arguments[0] == "sd15" else 12)
    found: dict[str, dict[str, float]] = {}
    for name in CONTESTANTS:
        train, _ = contestant(name, case, Path(arguments[1]))
        gate = ProfilingGate()
        try:
            with torch.inference_mode(False):
                train(gate)  # pyright: ignore[reportArgumentType]
        except Finished:
            found[name] = dict(gate.milliseconds)
    print(json.dumps(found))
