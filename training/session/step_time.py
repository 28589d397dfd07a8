"""Measures how long a step takes on this machine, with a few real steps on blank pictures."""

import torch
from torch import Tensor

from ..data.buckets import BucketSettings
from ..data.dataset import Dataset, with_buckets
from ..data.from_images import subset_from_images
from ..data.prepare import place_dataset
from ..loop.job import TrainJob, TrainState
from ..loop.stages import Stage, planned_stages
from ..loop.texts import FrozenTexts, TrainedTexts, is_text_trained
from ..loop.trainer import train_step
from ..networks.network import Network
from ..networks.settings import NetworkSettings
from ..objective.settings import ObjectiveSettings
from ..optimizers.settings import OptimizerSettings
from .request import TrainableBase

WARM_UP, TIMED = 1, 2
"""The first step builds the optimizer and lets the device choose its kernels."""
LATENT_CHANNELS, LATENT_SCALE = 4, 8


def seconds_per_step(
    base: TrainableBase,
    network: NetworkSettings,
    objective: ObjectiveSettings,
    optimizer: OptimizerSettings,
    stage: Stage,
    size: tuple[int, int],
) -> float:
    """Seconds per optimizer step of a stage, for pictures of (width, height) pixels; the faster of two.

    Latents are zero, so no VAE is needed. Nothing is kept, and the base model is unchanged.
    """
    with torch.inference_mode(False):
        data = place_dataset(_plain_pictures(stage.batch_size, size), _empty_latents, base.family, encoder_id="none")
        data.encode(lambda done, of: None)
        adapters = Network.create(base.parts(), base.family, network, 0, base.frozen_tensor).to(base.device)
        is_trained = is_text_trained(adapters)
        texts = TrainedTexts(base) if is_trained else FrozenTexts(base)
        if isinstance(texts, FrozenTexts):
            texts.prepare(data.distinct_captions() or ())
        steps = WARM_UP + TIMED
        stages = planned_stages([stage], optimizer, [steps])
        job = TrainJob(
            base=base, network=adapters, objective=objective, stages=stages, data=(data,), texts=texts, seed=0
        )
        with base.training(is_trained):
            adapters.attach()
            try:
                state = TrainState()
                reports = [train_step(job, state) for _ in range(steps)]
            finally:
                adapters.detach()
    return min(report.seconds for report in reports[WARM_UP:])


def _plain_pictures(count: int, size: tuple[int, int]) -> Dataset:
    width, height = size
    pictures = [torch.full((height, width, 3), number / count) for number in range(count)]
    return with_buckets(
        Dataset((subset_from_images(pictures, ["a picture"]),)),
        BucketSettings(resolution=size, bucket_step=LATENT_SCALE),
    )


def _empty_latents(pixels_BHWC: Tensor) -> Tensor:
    count, height, width, _ = pixels_BHWC.shape
    return torch.zeros(count, LATENT_CHANNELS, height // LATENT_SCALE, width // LATENT_SCALE)
