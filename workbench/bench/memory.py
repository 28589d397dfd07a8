"""Memory of a step, counted and calculated: `start.py memory CASE WEIGHTS` prints JSON."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ...training.loop.job import TrainState
from ...training.loop.trainer import train_step
from ..layouts import host_model, map_weights
from . import pack_trainer, paper
from .contest import Case, stacked
from .meters import LiveMeter, module_tensors, saved_activations, storage_bytes


@dataclass(frozen=True, slots=True)
class Count:
    """Bytes as counted and as calculated."""

    counted: int
    on_paper: int


def count_activations(case: Case, model: Any) -> tuple[Count, int]:
    """What autograd keeps of one forward pass with a network attached, and how much of it looks like weights."""
    base = pack_trainer.base_model(case, model)
    job = pack_trainer.make_job(case, base)
    texts = job.texts([str(index) for index in range(case.batch)])
    latents_BCHW, timestep_B = stacked(case.images(), 0, case.batch), torch.full((case.batch,), 500)
    with base.training(is_text_trained=False):
        job.network.attach()
        job.network.train()
        with saved_activations(model.model, *job.network.adapters) as saved:
            prediction_BCHW = base.denoise(latents_BCHW, timestep_B, texts, pack_trainer.sizes(case))
            total, copies = saved.total, saved.copies_of_weights
        job.network.detach()
    del prediction_BCHW
    return Count(total, paper.activation_bytes(case.layout, workload(case))), copies


def count_state(case: Case, model: Any) -> Count:
    """Adapters and the optimizer's moments after a step."""
    base = pack_trainer.base_model(case, model)
    job, state = pack_trainer.make_job(case, base), TrainState()
    with base.training(is_text_trained=False):
        job.network.attach()
        train_step(job, state)
        job.network.detach()
    assert state.optimizer is not None
    moments = [value for values in state.optimizer.state.values() for value in values.values() if value.dim()]
    work = workload(case)
    on_paper = 3 * paper.adapter_bytes(case.layout, work)
    return Count(storage_bytes([*module_tensors(*job.network.adapters), *moments]), on_paper)


def live_per_step(case: Case, model: Any, num_steps: int) -> list[tuple[int, int]]:
    """Bytes alive after each step, and the peak within it."""
    base = pack_trainer.base_model(case, model)
    counts: list[tuple[int, int]] = []
    with base.training(is_text_trained=False), LiveMeter(module_tensors(model.model)) as meter:
        job, state = pack_trainer.make_job(case, base), TrainState()
        job.network.attach()
        for _ in range(num_steps):
            meter.restart()
            train_step(job, state)
            counts.append((meter.live, meter.peak))
        job.network.detach()
    return counts


def workload(case: Case) -> paper.Workload:
    """The case as input of the calculation."""
    adapted: paper.Adapted = "all" if case.targets == "all" else "attention_feed_forward"
    return paper.Workload(latent=case.latent, batch=case.batch, rank=case.rank, adapted=adapted)


def main(arguments: list[str]) -> None:
    """Print the counts of a case."""
    case = Case(**json.loads(arguments[0]))
    model = host_model(case.layout, map_weights(case.layout, Path(arguments[1])))
    activations, copies = count_activations(case, model)
    state = count_state(case, model)
    print(json.dumps({
        "activations": [activations.counted, activations.on_paper],
        "state": [state.counted, state.on_paper],
        "copies_of_weights": copies,
    }))  # fmt: skip
