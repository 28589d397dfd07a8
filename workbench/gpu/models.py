"""U-Nets of real layouts with random weights, made on the device, and jobs that train on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor

from ...nodes.comfy_bridge.model.base_model import ComfyBaseModel
from ...training.base_model import Checkpointing, TextConditioning
from ...training.data.buckets import BucketSettings
from ...training.data.dataset import Dataset, with_buckets
from ...training.data.from_images import subset_from_images
from ...training.data.prepare import prepare
from ...training.loop.job import TrainJob
from ...training.loop.stages import Stage, planned_stages
from ...training.networks.network import Network
from ...training.networks.settings import NetworkSettings
from ...training.objective.settings import ObjectiveSettings
from ...training.optimizers.settings import OptimizerSettings
from ..layouts import Layout, host_model, weight_shapes

POOLED_WIDTH = 1280
NUM_IMAGES = 4


@dataclass(frozen=True, kw_only=True)
class Work:
    """What is trained."""

    layout: Layout
    device: torch.device
    dtype: torch.dtype = torch.float32
    """Of the frozen weights; fp8 computes in bfloat16."""
    latent: int = 8
    """Rows and columns of the latents; an eighth of the pixels."""
    checkpointing: Checkpointing = "on"


def random_model(work: Work) -> Any:
    """The host's MODEL. The numbers are drawn on the processor, so that every device has the same ones."""
    generator = torch.Generator().manual_seed(0)
    weights: dict[str, Tensor] = {}
    for name, shape in weight_shapes(work.layout).items():
        if len(shape) > 1:
            weight = torch.randn(shape, generator=generator) * prod(shape[1:]) ** -0.5
        else:
            weight = torch.zeros(shape) if name.endswith("bias") else torch.ones(shape)
        weights[name] = weight.to(work.dtype).to(work.device)
    is_narrow = work.dtype.itemsize == 1
    return host_model(work.layout, weights, work.dtype, torch.bfloat16 if is_narrow else None, work.device)


def make_job(work: Work, model: Any, network: NetworkSettings, steps: int) -> TrainJob:
    """A run of some steps at batch 1 with AdamW."""
    base = ComfyBaseModel(model, None, None, work.checkpointing)
    optimizer = OptimizerSettings(optimizer="AdamW", learning_rate=1e-4)
    adapters = Network.create(base.parts(), base.family, network, 0, base.frozen_tensor)
    return TrainJob(
        base=base,
        network=adapters.to_parts(base.device_of),
        objective=ObjectiveSettings(),
        stages=planned_stages([Stage(steps=steps)], optimizer, [steps]),
        data=(_data(work),),
        texts=_Texts(work),
        seed=0,
    )


class _Texts:
    """Random conditioning, the same for every caption."""

    def __init__(self, work: Work) -> None:
        context = torch.randn(77, work.layout.context_dim, generator=torch.Generator().manual_seed(1))
        self.text = TextConditioning(context, torch.zeros(POOLED_WIDTH) if work.layout.family == "sdxl" else None)

    def __call__(self, captions: Sequence[str]) -> Sequence[TextConditioning]:
        """One a caption."""
        return [self.text] * len(captions)


def _data(work: Work) -> Any:
    """Pictures whose latents are drawn instead of encoded."""
    generator, side = torch.Generator().manual_seed(2), 8 * work.latent
    latents = torch.randn(NUM_IMAGES, 4, work.latent, work.latent, generator=generator)
    pictures = [torch.full((side, side, 3), index / NUM_IMAGES) for index in range(NUM_IMAGES)]
    subset = subset_from_images(pictures, [str(index) for index in range(NUM_IMAGES)])
    dataset = with_buckets(Dataset((subset,)), BucketSettings(resolution=side, cache="ram"))
    return prepare(dataset, lambda pixels: latents[: len(pixels)], work.layout.family)
