"""What the base model alone would have lost on a step that was trained: the same images, captions, noise, timesteps.

Every draw follows from seed and step, so this can be asked at any later time.
"""

from dataclasses import replace

import torch

from ..loop.batches import batch_at
from ..loop.job import TrainJob
from ..loop.parallel import rows_of, to_list
from ..loop.stages import stage_at
from ..networks.share import Share
from ..objective.objective import Draws, diffusion_loss
from .measure import MAX_BATCH


@torch.no_grad()
def base_losses(job: TrainJob, step: int) -> list[float]:
    """Unweighted loss without the network of every sample of a step (from 1), in the order of its report.

    Only few samples are computed at once, so that it never needs more memory than the step itself.
    """
    objective = replace(job.objective, prior_preservation="off")
    stage = job.stages[stage_at(job.stages, step - 1)].stage
    losses: list[float] = []
    with job.network.disabled():
        for micro in range(stage.grad_accumulation_steps):
            whole = batch_at(job, step - 1, micro)
            size = len(whole.captions)
            for first in range(0, size, MAX_BATCH):
                batch = rows_of(whole, Share(first=first, count=min(MAX_BATCH, size - first), whole=size))
                draws = Draws(seed=job.seed, step=step - 1, micro_step=micro, sample_offset=first)
                result = diffusion_loss(job.base, job.network, batch, job.texts(batch.captions), objective, draws)
                losses += to_list(result.unweighted_B)
    return losses
