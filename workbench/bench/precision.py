"""Weights in halves and fp8 beside float32 on the pocket model: gradients by layer, losses of 200 steps.

On the second device, which the host takes for a card and gives such weights as it would give a card: `start.py
precision`.
"""

import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from statistics import mean, median
from typing import Any

import comfy.sd
import torch
from torch import Tensor

from ...nodes.comfy_bridge.model.base_model import ComfyBaseModel
from ...tests.support.paths import POCKET_CHECKPOINT
from ...training.data.buckets import BucketSettings
from ...training.data.dataset import with_buckets
from ...training.data.folder import scan_folder
from ...training.data.prepare import prepare
from ...training.loop.gradients import gradients
from ...training.loop.job import Callback, TrainJob, TrainState
from ...training.loop.report import StepReport
from ...training.loop.stages import Stage, planned_stages
from ...training.loop.texts import FrozenTexts
from ...training.loop.trainer import train
from ...training.networks.network import Network
from ...training.networks.settings import NetworkSettings
from ...training.objective.settings import ObjectiveSettings
from ...training.optimizers.settings import OptimizerSettings
from ..pocket.characters import CHARACTERS, write_oc_dataset

REFERENCE = torch.float32
DTYPES = (torch.float16, torch.bfloat16, torch.float8_e4m3fn)
STEPS, LAST = 200, 50
BATCH, PIXELS = 1, 64
NETWORK = NetworkSettings(algorithm="locon", rank=16, alpha=16.0, parts=("unet",))


def main(arguments: list[str]) -> None:
    """Print the figures of every kind of weights; an argument is another number of steps."""
    steps = int(arguments[0]) if arguments and arguments[0].isdigit() else STEPS
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "zorblax"
        write_oc_dataset(pictures, oc=CHARACTERS["zorblax"])
        found = {dtype: figures(dtype, pictures, steps) for dtype in (REFERENCE, *DTYPES)}
    wanted, wanted_losses = found.pop(REFERENCE)
    print(json.dumps({
        str(dtype).removeprefix("torch."): {**beside(wanted, own), **losses_beside(wanted_losses, losses)}
        for dtype, (own, losses) in found.items()
    }))  # fmt: skip


def figures(dtype: torch.dtype, pictures: Path, steps: int) -> tuple[Mapping[str, Tensor], list[float]]:
    """Gradients of a network that is opened up a little, by layer, and the losses of a run from its start."""
    job = make_job(dtype, pictures, steps)
    by_layer = layer_gradients(job)
    return by_layer, losses_of(make_job(dtype, pictures, steps))


def make_job(dtype: torch.dtype, pictures: Path, steps: int) -> TrainJob:
    """Locon of rank 16 on the demo's pictures, AdamW at 0.001."""
    with torch.inference_mode():
        loaded = comfy.sd.load_checkpoint_guess_config(str(POCKET_CHECKPOINT), model_options={"dtype": dtype})
    base = ComfyBaseModel(*loaded[:3])
    dataset = with_buckets(scan_folder(pictures), BucketSettings(resolution=PIXELS, cache="ram"))
    optimizer = OptimizerSettings(optimizer="AdamW", learning_rate=1e-3)
    data = prepare(dataset, base.encode_images, base.family)
    texts = FrozenTexts(base)
    texts.prepare(data.distinct_captions() or ())
    with torch.inference_mode(False):
        network = Network.create(base.parts(), base.family, NETWORK, 0, base.frozen_tensor).to_parts(base.device_of)
    return TrainJob(
        base=base, network=network, objective=ObjectiveSettings(), data=(data,), texts=texts, seed=0,
        stages=planned_stages([Stage(steps=steps, batch_size=BATCH)], optimizer, [steps]),
    )  # fmt: skip


@contextmanager
def attached(job: TrainJob) -> Iterator[TrainState]:
    """Context in which the job can be trained."""
    base: Any = job.base
    with torch.inference_mode(False), base.training(is_text_trained=False), job.network.attached():
        job.network.train(True)
        yield TrainState()


def layer_gradients(job: TrainJob) -> Mapping[str, Tensor]:
    """Gradients of the first step by layer, as one vector each, float64 on the CPU."""
    generator, by_layer = torch.Generator().manual_seed(3), dict[str, list[Tensor]]()
    with torch.no_grad():
        for _, parameter in job.network.named_parameters():
            parameter.add_((0.01 * torch.randn(parameter.shape, generator=generator)).to(parameter.device))
    with attached(job) as state:
        gradients(job, state, job.stages[0])
        for name, parameter in job.network.named_parameters():
            if parameter.grad is not None:
                by_layer.setdefault(name.rpartition(".")[0], []).append(parameter.grad.cpu().double().flatten())
    return {name: torch.cat(parts) for name, parts in by_layer.items()}


class _Losses(Callback):
    def __init__(self) -> None:
        self.losses: list[float] = []

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        self.losses.append(report.loss)


def losses_of(job: TrainJob) -> list[float]:
    """The loss of every step."""
    heard = _Losses()
    with attached(job) as state:
        train(job, state, [heard])
    return heard.losses


def beside(wanted: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, float]:
    """Cosine and relative error of each layer's gradient to the reference: of the median layer and the worst."""
    assert wanted.keys() == own.keys()
    cosines = [float(wanted[name] @ own[name] / (wanted[name].norm() * own[name].norm())) for name in wanted]
    errors = [float((own[name] - wanted[name]).norm() / wanted[name].norm()) for name in wanted]
    return {
        "layers": len(wanted),
        "cosine": median(cosines), "worst_cosine": min(cosines),
        "error": median(errors), "worst_error": max(errors),
    }  # fmt: skip


def losses_beside(wanted: list[float], own: list[float]) -> dict[str, float]:
    """How far losses are from the reference's: step by step relative to them, and the mean of the last steps."""
    apart = [abs(a - b) / b for a, b in zip(own, wanted, strict=True)]
    assert all(map(math.isfinite, apart))
    return {
        "steps": len(own), "apart": median(apart), "most_apart": max(apart),
        "last": mean(own[-LAST:]), "last_in_float32": mean(wanted[-LAST:]),
    }  # fmt: skip
