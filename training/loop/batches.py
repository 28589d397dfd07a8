"""Which images a step trains on, and in which epoch; determined by plan, data and seed alone."""

import math

from ..data.batch import Batch
from .job import TrainJob
from .stages import stage_at


def batch_at(job: TrainJob, step: int, micro_step: int) -> Batch:
    """The batch of a micro-step, for the optimizer step that follows `step` finished ones.

    A tag warmup given as a share refers to the first stage and is fixed once that stage trains, so that stages added
    later change nothing before them.
    """
    index = stage_at(job.stages, step)
    stage = job.stages[index].stage
    place = (step - job.stages[index].start) * stage.grad_accumulation_steps + micro_step
    epoch, place_in_epoch = _epoch_and_place(job, index, place)
    batch_plan = job.data[index].epoch(stage.batch_size, job.seed, epoch)[place_in_epoch]
    return job.data[index].load(batch_plan, job.seed, epoch, step, job.stages[0].steps)


def epoch_at(job: TrainJob, step: int) -> int:
    """Epoch, from 0, of the last batch after `step` steps; epochs are counted across stages."""
    if step == 0:
        return 0
    index = stage_at(job.stages, step - 1)
    planned = job.stages[index]
    return _epoch_and_place(job, index, (step - planned.start) * planned.stage.grad_accumulation_steps - 1)[0]


def _epoch_and_place(job: TrainJob, index: int, place: int) -> tuple[int, int]:
    epoch, place_in_epoch = divmod(place, job.data[index].num_batches(job.stages[index].stage.batch_size))
    return epoch + sum(_epochs_begun(job, earlier) for earlier in range(index)), place_in_epoch


def _epochs_begun(job: TrainJob, index: int) -> int:
    planned = job.stages[index]
    batches = planned.steps * planned.stage.grad_accumulation_steps
    return math.ceil(batches / job.data[index].num_batches(planned.stage.batch_size))
