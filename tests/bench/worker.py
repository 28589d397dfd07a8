"""One contestant in a process of its own: `alias.py pack.tests.bench.worker NAME CASE WEIGHTS`.

It answers on what was its standard output with a JSON line per step, and waits on its standard input for the next
order: `step` (timed), `memory` (counted, slower), anything else ends it.
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

from ..host.paths import comfyui_folder
from .contest import Case
from .layouts import host_model, map_weights
from .meters import LiveMeter

CONTESTANTS = ("bound", "pack", "outside", "host_weight", "host_bypass", "peft", "lycoris")


class Finished(BaseException):
    """No more steps are wanted."""


class WorkerGate:
    """Reports a finished step and reads the next order."""

    def __init__(self, orders: Any, answers: Any, meter: LiveMeter) -> None:
        self._orders, self._answers, self._meter = orders, answers, meter
        self._is_counting = True
        self._started = time.perf_counter()

    def __call__(self) -> None:
        """Called after each optimizer step."""
        seconds = time.perf_counter() - self._started
        answer: dict[str, float] = {"seconds": seconds}
        if self._is_counting:
            self._meter.__exit__(None, None, None)
            self._is_counting = False
            answer = {"peak_bytes": self._meter.peak}
        print(json.dumps(answer), file=self._answers, flush=True)
        order = self._orders.readline().strip()
        if order not in ("step", "memory"):
            raise Finished
        gc.collect()
        if order == "memory":
            self._meter.restart()
            self._meter.__enter__()
            self._is_counting = True
        self._started = time.perf_counter()


def contestant(name: str, case: Case, weights_path: Path) -> tuple[Callable[[WorkerGate], None], list[torch.Tensor]]:
    """The training function of a contestant, and the tensors of the loaded model."""
    from . import pack_trainer, peers

    weights = map_weights(case.layout, weights_path)
    known = list(weights.values())
    if name == "peft":
        return partial(peers.train_with_peft, case, weights), known
    model = host_model(case.layout, weights)
    known += [*model.model.parameters(), *model.model.buffers()]
    functions: dict[str, Callable[..., None]] = {
        "bound": pack_trainer.run_bound,
        "pack": pack_trainer.train_with_pack,
        "outside": pack_trainer.train_without_model,
        "host_weight": partial(peers.train_with_host, is_bypass=False),
        "host_bypass": partial(peers.train_with_host, is_bypass=True),
        "lycoris": peers.train_with_lycoris,
    }
    return partial(functions[name], case, model), known


def prepare_host() -> None:
    """Import ComfyUI for the CPU, with PyTorch's fused attention: what it chooses on GPUs."""
    folder = comfyui_folder()
    assert folder is not None, "dev.py sets COMFYUI_PATH"
    sys.path.insert(0, str(folder))
    from comfy.cli_args import args

    args.cpu = True
    args.use_pytorch_cross_attention = True


def main() -> None:
    """Train until told otherwise."""
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "2")))
    prepare_host()
    name, case = sys.argv[1], Case(**json.loads(sys.argv[2]))
    train, known = contestant(name, case, Path(sys.argv[3]))
    meter = LiveMeter(known)
    gate = WorkerGate(sys.stdin, answers, meter)
    try:
        with torch.inference_mode(False):
            meter.__enter__()
            train(gate)
    except Finished:
        os._exit(0)


if __name__ == "__main__":
    main()
