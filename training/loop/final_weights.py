"""The weights that a user gets of a network in training."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..optimizers.modes import use_evaluation_weights, use_training_weights
from .job import TrainJob, TrainState


@contextmanager
def final_weights(job: TrainJob, state: TrainState) -> Generator[None]:
    """Inside, the network holds the weights a user gets: EMA where kept, evaluation weights of schedule-free."""
    if state.optimizer is not None:
        use_evaluation_weights(state.optimizer)
    try:
        # In a stage without an average, `ema` holds the training weights, not those a schedule-free one is judged by.
        if state.ema is None or not job.stages[max(state.optimizer_stage, 0)].optimizer.ema_decay:
            yield
        else:
            with state.ema.applied(job.network.named_parameters()):
                yield
    finally:
        if state.optimizer is not None:
            use_training_weights(state.optimizer)


def final_tensors(job: TrainJob, state: TrainState, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The LoRA as a file holds it."""
    with final_weights(job, state):
        return job.network.state_dict(dtype)
