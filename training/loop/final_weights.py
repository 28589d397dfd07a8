"""The weights to save, sample and validate while a network trains."""

from collections.abc import Generator
from contextlib import contextmanager

import torch
from torch import Tensor

from ..optimizers.modes import use_evaluation_weights, use_training_weights
from .job import TrainJob, TrainState


@contextmanager
def final_weights(job: TrainJob, state: TrainState) -> Generator[None]:
    """Context in which the network holds those weights: EMA if kept, evaluation weights of schedule-free optimizers."""
    if state.optimizer is not None:
        use_evaluation_weights(state.optimizer)
    try:
        # A stage without an average has training weights in `ema`, not schedule-free evaluation weights.
        if state.ema is None or not job.stages[max(state.optimizer_stage, 0)].optimizer.ema_decay:
            yield
        else:
            with state.ema.applied(job.network.named_parameters()):
                yield
    finally:
        if state.optimizer is not None:
            use_training_weights(state.optimizer)


def final_tensors(job: TrainJob, state: TrainState, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """The LoRA's tensors as a file stores them."""
    with final_weights(job, state):
        return job.network.state_dict(dtype)
