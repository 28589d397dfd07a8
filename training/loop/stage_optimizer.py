"""The optimizer of each stage, built when the stage begins."""

import torch

from ..optimizers.build import build_optimizer
from ..optimizers.state import load_optimizer_state, optimizer_state
from .job import TrainJob, TrainState


def optimizer_for_stage(job: TrainJob, state: TrainState, index: int) -> torch.optim.Optimizer:
    """The optimizer of a stage; takes over the state of the previous stage's if it is of the same kind.

    Parameters that it does not train (a part with learning rate 0) need no gradients during the stage.
    """
    if state.optimizer is not None and state.optimizer_stage == index:
        return state.optimizer
    plan, before = job.stages[index], state.optimizer
    optimizer = build_optimizer(plan.optimizer, job.network.parameter_groups())
    if before is not None and plan.stage.keep_optimizer_state and _goes_on(before, optimizer):
        load_optimizer_state(optimizer, *optimizer_state(before))
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}
    for _, parameter in job.network.named_parameters():
        parameter.requires_grad_(id(parameter) in trained)
    state.optimizer, state.optimizer_stage = optimizer, index
    return optimizer


def _goes_on(before: torch.optim.Optimizer, optimizer: torch.optim.Optimizer) -> bool:
    """True for optimizers of the same kind that share some parameters."""
    old, new = ({id(p) for group in one.param_groups for p in group["params"]} for one in (before, optimizer))
    return type(before) is type(optimizer) and bool(old & new)
