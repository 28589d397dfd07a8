"""The loss of images at fixed noise and fixed timesteps: equal weights give equal figures, in any run.

Weights, offsets and loss type of the training objective are ignored, so runs with different ones can be compared.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from ..data.prepared import PreparedDataset
from ..loop.job import TrainJob
from ..objective.objective import Draws, ObjectiveSettings, captions_to_encode, diffusion_loss

NOISE_SEED = 20_240_519
"""Any fixed number."""
NUM_TIMESTEPS = 4
MAX_BATCH = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class ImageLoss:
    """How well one image is denoised."""

    image_id: int
    """Number in `PreparedDataset.image_names`."""
    caption: str
    loss_by_timestep: tuple[float, ...]
    """Mean squared error within the mask, at each of `fixed_timesteps`."""

    @property
    def loss(self) -> float:
        """Mean over the timesteps."""
        return sum(self.loss_by_timestep) / len(self.loss_by_timestep)


def fixed_timesteps(objective: ObjectiveSettings, num_timesteps: int = NUM_TIMESTEPS) -> list[int]:
    """Timesteps spread evenly over the trained range, each in the middle of its interval."""
    low, high = objective.min_timestep, objective.max_timestep
    return [low + int((high - low) * (index + 0.5) / num_timesteps) for index in range(num_timesteps)]


def measuring_objective(objective: ObjectiveSettings) -> ObjectiveSettings:
    """The plain squared error, on the noise schedule of a training objective."""
    return ObjectiveSettings(min_snr_gamma=None, zero_terminal_snr=objective.zero_terminal_snr)


@torch.no_grad()
def image_losses(
    job: TrainJob, data: PreparedDataset, on_batch: Callable[[int, int], None] = lambda done, of: None
) -> list[ImageLoss]:
    """Loss of every image of a set without draws, with the current network, which must be in evaluation mode.

    `on_batch` is called for every batch, for progress and canceling.
    """
    objective = measuring_objective(job.objective)
    timesteps = fixed_timesteps(job.objective)
    plans = data.epoch(MAX_BATCH, NOISE_SEED, 0)
    measured: list[ImageLoss] = []
    for index, plan in enumerate(plans):
        batch = data.load(plan, NOISE_SEED, 0, 0, 1)
        texts = job.texts(captions_to_encode(batch.captions, objective))
        by_timestep: list[list[float]] = []
        for place, timestep in enumerate(timesteps):
            draws = Draws(seed=NOISE_SEED, step=index, micro_step=place, timestep=timestep)
            losses_B = diffusion_loss(job.base, job.network, batch, texts, objective, draws).unweighted_B
            by_timestep.append([float(loss) for loss in losses_B.cpu()])
        rows = zip(batch.image_ids, batch.captions, zip(*by_timestep, strict=True), strict=True)
        measured += [ImageLoss(image_id=i, caption=c, loss_by_timestep=tuple(losses)) for i, c, losses in rows]
        on_batch(index + 1, len(plans))
    return measured
