"""Schedule-free optimizers step from other weights than they are judged by: which of the two the network holds.

No-ops for every other optimizer.
"""

from typing import Any

import torch

_KEPT = "training_weights"
"""Group entry that holds the training weights while the evaluation weights are in."""


def is_schedule_free(optimizer: torch.optim.Optimizer) -> bool:
    """True if the optimizer knows two kinds of weights."""
    return callable(getattr(optimizer, "eval", None)) and callable(getattr(optimizer, "train", None))


def has_evaluation_weights(optimizer: torch.optim.Optimizer) -> bool:
    """True between `use_evaluation_weights` and `use_training_weights`."""
    return any(_KEPT in group for group in optimizer.param_groups)


@torch.no_grad()
def use_evaluation_weights(optimizer: torch.optim.Optimizer) -> None:
    """Puts in the weights to save, sample and validate with, for as long as no step is taken."""
    if not is_schedule_free(optimizer) or has_evaluation_weights(optimizer):
        return
    for group in optimizer.param_groups:
        group[_KEPT] = [parameter.detach().clone() for parameter in group["params"]]
    _switch(optimizer, "eval")


@torch.no_grad()
def use_training_weights(optimizer: torch.optim.Optimizer) -> None:
    """Puts the weights to step from back in, bit for bit.

    The optimizer's own way back rounds, so a preview would change the run; the weights are kept aside instead.
    """
    if not is_schedule_free(optimizer):
        return
    _switch(optimizer, "train")
    for group in optimizer.param_groups:
        for parameter, kept in zip(group["params"], group.pop(_KEPT, ()), strict=False):
            parameter.copy_(kept)


def _switch(optimizer: Any, mode: str) -> None:
    getattr(optimizer, mode)()
