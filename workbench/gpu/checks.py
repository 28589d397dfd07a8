"""The checks on a GPU; each reports whether it passed, and its figures."""

import math
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import comfy.sample
import torch
from torch import Tensor

from ...training.loop.gradients import gradients
from ...training.loop.job import Callback, StopTraining, TrainJob, TrainState
from ...training.loop.out_of_memory import is_out_of_memory
from ...training.loop.report import StepReport
from ...training.loop.trainer import train, train_step
from ...training.networks.settings import NetworkSettings
from ...training.run.state import SavedState, load_state, restore, save_state
from .card import GIB, Card
from .models import Work, make_job, random_model

ALGORITHMS = ("lora", "locon", "loha", "lokr", "dylora", "ia3", "glora", "full", "diag-oft", "boft")
LEAST_COSINE = {torch.float32: 0.9999, torch.float16: 0.99, torch.bfloat16: 0.97, torch.float8_e4m3fn: 0.9}
"""Required cosine of a part's gradients to those of the CPU in float32, by dtype of the frozen weights."""
LIMIT_GIB = 7.5


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    held: bool | None
    """None if it could not be checked on this GPU."""
    figures: dict[str, object] = field(default_factory=dict)


@contextmanager
def attached(job: TrainJob) -> Iterator[TrainState]:
    """Context in which the job can be trained."""
    base: Any = job.base
    with torch.inference_mode(False), base.training(is_text_trained=False):
        job.network.attach()
        try:
            yield TrainState()
        finally:
            job.network.detach()


def first_gradients(work: Work, network: NetworkSettings) -> dict[str, Tensor]:
    """Gradients of step 1, on the CPU, before any update."""
    job = make_job(work, random_model(work), network, 1)
    _open_up(job)
    with attached(job) as state:
        job.network.train()
        gradients(job, state, job.stages[0])
        named = job.network.named_parameters()
        return {name: p.grad.float().cpu() for name, p in named if p.grad is not None}


def _open_up(job: TrainJob) -> None:
    """Move every parameter a little, so that none starts at zero and hides the others' gradients."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, parameter in job.network.named_parameters():
            parameter.add_((0.01 * torch.randn(parameter.shape, generator=generator)).to(parameter.device))


def cosine(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    """Cosine of all gradients as one vector."""
    a, b = (torch.cat([each[name].double().flatten() for name in one]) for each in (one, other))
    return float(a @ b / (a.norm() * b.norm()))


def check_gradients(work: Work, algorithms: tuple[str, ...]) -> Iterator[Check]:
    """Compare each algorithm's first gradients with the CPU's."""
    for algorithm in algorithms:
        network = NetworkSettings(algorithm=algorithm, rank=4, alpha=4.0, parts=("unet",))  # pyright: ignore
        own = first_gradients(work, network)
        reference = first_gradients(replace(work, device=torch.device("cpu")), network)
        found = cosine(reference, own)
        yield Check(f"gradients, {algorithm}", found >= LEAST_COSINE[work.dtype], {"cosine": round(found, 6)})


def check_precision(work: Work) -> Iterator[Check]:
    """Compare LoRA's gradients on frozen weights of each dtype with float32 on the CPU."""
    network = NetworkSettings(rank=4, alpha=4.0, parts=("unet",))
    reference = first_gradients(replace(work, device=torch.device("cpu")), network)
    for dtype in (torch.float16, torch.bfloat16, torch.float8_e4m3fn):
        name = str(dtype).removeprefix("torch.")
        found = cosine(reference, first_gradients(replace(work, dtype=dtype), network))
        yield Check(f"gradients, {name} weights", found >= LEAST_COSINE[dtype], {"cosine": round(found, 6)})


class _StopAt(Callback):
    def __init__(self, step: int) -> None:
        self._step = step

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        if report.step == self._step:
            raise StopTraining


def check_continuation(work: Work, steps: int = 6) -> Check:
    """Stopped in the middle, saved and resumed: the same weights as without a stop."""
    model, state_file = random_model(work), "state.safetensors"
    with tempfile.TemporaryDirectory() as folder:
        whole = _trained_to(steps, work, model, steps, None, Path(folder) / state_file)
        _trained_to(steps // 2, work, model, steps, None, Path(folder) / state_file)
        saved = load_state(Path(folder) / state_file)
        continued = _trained_to(steps, work, model, steps, saved, Path(folder) / state_file)
    pairs = list(zip(whole, continued, strict=True))
    apart = max(float((a - b).abs().max()) for a, b in pairs)
    return Check("stop and continue", apart <= 1e-6, {"same_bits": apart == 0.0, "largest_difference": apart})


def _trained_to(  # noqa: PLR0913
    stop: int, work: Work, model: Any, steps: int, saved: SavedState | None, path: Path
) -> list[Tensor]:
    """The weights at a step of a run, which is saved there."""
    network = NetworkSettings(rank=4, alpha=4.0, parts=("unet",), dropout=0.1)
    job = make_job(work, model, network, steps)
    with attached(job) as state:
        if saved is not None:
            restore(saved, job, state)
        train(job, state, [_StopAt(stop)])
        save_state(path, job, state)
    return [parameter.detach().cpu() for _, parameter in job.network.named_parameters()]


def check_preview(work: Work) -> Check:
    """The host samples with the network attached, between two steps."""
    job = make_job(work, model := random_model(work), NetworkSettings(rank=4, alpha=4.0, parts=("unet",)), 2)
    with attached(job) as state:
        train_step(job, state)
        job.network.train(False)
        text = job.texts(["a"])[0]
        context = [[text.context_LD[None], {} if text.pooled_D is None else {"pooled_output": text.pooled_D[None]}]]
        latent = torch.zeros(1, 4, work.latent, work.latent)
        with torch.inference_mode():
            picture = comfy.sample.sample(
                model, torch.randn(latent.shape), 2, 2.0, "euler", "normal", context, context, latent,
                disable_pbar=True, seed=1,
            )  # fmt: skip
        job.base.reclaim()  # pyright: ignore
        loss = train_step(job, state).loss
    return Check("preview between steps", bool(picture.isfinite().all()) and math.isfinite(loss))


def check_out_of_memory(work: Work, card: Card) -> Check:
    """Out of memory is detected, memory is freed, and training continues."""
    if not card.can_count:
        return Check("out of memory", None, {"reason": "this device does not count its memory"})
    job = make_job(work, random_model(work), NetworkSettings(rank=4, alpha=4.0, parts=("unet",)), 3)
    with attached(job) as state:
        train_step(job, state)
        before, noticed = card.used(), False
        card.limit(before + before // 50)
        try:
            train_step(job, state)
        except RuntimeError as error:
            noticed = is_out_of_memory(error)
        finally:
            card.limit(None)
        for _, parameter in job.network.named_parameters():
            parameter.grad = None
        after = card.used()
        loss = train_step(job, state).loss
    figures: dict[str, object] = {"bytes_before": before, "bytes_after": after}
    return Check("out of memory", noticed and after <= before * 1.02 and math.isfinite(loss), figures)


def check_speed(work: Work, card: Card, steps: int) -> Check:
    """Seconds per step relative to the frozen model's forward pass, and peak memory; LoRA of rank 8."""
    name = f"{work.layout.name}, {8 * work.latent} pixels, {str(work.dtype).removeprefix('torch.')}"
    job = make_job(work, random_model(work), NetworkSettings(rank=8, alpha=8.0, parts=("unet",)), steps + 1)
    is_limited = work.layout.name == "sdxl" and card.total() > LIMIT_GIB * GIB
    card.restart()
    card.limit(int(LIMIT_GIB * GIB) if is_limited else None)
    try:
        with attached(job) as state:
            train_step(job, state)
            card.wait()
            started = time.perf_counter()
            for _ in range(steps):
                report = train_step(job, state)
            card.wait()
            seconds = (time.perf_counter() - started) / steps
    finally:
        card.limit(None)
    peak = card.peak() / GIB
    held = math.isfinite(report.loss) and (work.layout.name != "sdxl" or peak <= LIMIT_GIB)
    figures = {"seconds_a_step": round(seconds, 4), "peak_gib": round(peak, 3)}
    return Check(f"training, {name}", held, figures | ({"limit_gib": LIMIT_GIB} if is_limited else {}))
