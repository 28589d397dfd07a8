"""One contestant in its own process, started by `rounds.py`.

It answers on its original standard output with a JSON line per step, the first counted, the others timed, and waits on
its standard input for the next order: `step`, or anything else to end.
"""

import gc
import json
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch

from ..layouts import host_model, map_weights
from . import pack_trainer, peers
from .contest import Case
from .meters import LiveMeter

MOMENTS_SHARE = 2 / 3
"""Of what is alive between steps (parameters, two moments), the share created after the first step's peak."""
CONTESTANTS = ("bound", "bound_products", "pack", "outside", "host_weight", "host_bypass", "peft", "lycoris")


class Finished(BaseException):
    """No more steps are requested."""


class WorkerGate:
    """Reports a finished step and reads the next order."""

    def __init__(self, orders: Any, answers: Any, meter: LiveMeter) -> None:
        self._orders, self._answers, self._meter = orders, answers, meter
        self._is_counting = True
        self._started = self._started_cpu = 0.0

    def __call__(self) -> None:
        """Called after each optimizer step."""
        seconds, cpu_seconds = time.perf_counter() - self._started, time.process_time() - self._started_cpu
        answer: dict[str, float] = {"seconds": seconds, "cpu_seconds": cpu_seconds}
        if self._is_counting:
            self._meter.__exit__(None, None, None)
            self._is_counting = False
            answer = {"peak_bytes": self._meter.peak + int(MOMENTS_SHARE * self._meter.live)}
        print(json.dumps(answer), file=self._answers, flush=True)
        order = self._orders.readline().strip()
        if order != "step":
            raise Finished
        gc.collect()
        self._started, self._started_cpu = time.perf_counter(), time.process_time()


def contestant(name: str, case: Case, weights_path: Path) -> tuple[Callable[[WorkerGate], None], list[torch.Tensor]]:
    """The training function of a contestant, and the tensors of the loaded model."""
    weights = map_weights(case.layout, weights_path)
    known = list(weights.values())
    if name == "peft":
        return partial(peers.train_with_peft, case, weights), known
    model = host_model(case.layout, weights)
    known += [*model.model.parameters(), *model.model.buffers()]
    functions: dict[str, Callable[..., None]] = {
        "bound": partial(pack_trainer.run_bound, is_products_own=False),
        "bound_products": partial(pack_trainer.run_bound, is_products_own=True),
        "pack": pack_trainer.train_with_pack,
        "outside": pack_trainer.train_without_model,
        "host_weight": partial(peers.train_with_host, is_bypass=False),
        "host_bypass": partial(peers.train_with_host, is_bypass=True),
        "lycoris": peers.train_with_lycoris,
    }
    return partial(functions[name], case, model), known


def main(arguments: list[str]) -> None:
    """Train until ordered to stop; the arguments are contestant, case and file of weights."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    name, case, weights = arguments[0], Case(**json.loads(arguments[1])), Path(arguments[2])
    train, known = contestant(name, case, weights)
    meter = LiveMeter(known)
    gate = WorkerGate(sys.stdin, answers, meter)
    try:
        with torch.inference_mode(False):
            meter.__enter__()
            train(gate)
    except Finished:
        os._exit(0)
