"""Schedule-free optimizers keep two sets of weights, for training and evaluation; this switches between them.

No effect for other optimizers.
"""

from typing import Any

import torch

_KEPT = "training_weights"
"""Group entry that keeps the training weights while the evaluation weights are in the network."""


def is_schedule_free(optimizer: torch.optim.Optimizer) -> bool:
    """True if the optimizer has separate weights for evaluation."""
    return callable(getattr(optimizer, "eval", None)) and callable(getattr(optimizer, "train", None))


def has_evaluation_weights(optimizer: torch.optim.Optimizer) -> bool:
    """True between `use_evaluation_weights` and `use_training_weights`."""
    return any(_KEPT in group for group in optimizer.param_groups)


@torch.no_grad()
def use_evaluation_weights(optimizer: torch.optim.Optimizer) -> None:
    """Switch to the weights for saving, sampling and validation. No step may be taken meanwhile."""
    if not is_schedule_free(optimizer) or has_evaluation_weights(optimizer):
        return
    for group in optimizer.param_groups:
        group[_KEPT] = [parameter.detach().clone() for parameter in group["params"]]
    _switch(optimizer, "eval")


@torch.no_grad()
def use_training_weights(optimizer: torch.optim.Optimizer) -> None:
    """Switch back to the training weights, bit for bit.

    The optimizer's own way back rounds, so a preview would change the run; hence the weights are kept as they were.
    """
    if not is_schedule_free(optimizer):
        return
    _switch(optimizer, "train")
    for group in optimizer.param_groups:
        for parameter, kept in zip(group["params"], group.pop(_KEPT, ()), strict=False):
            parameter.copy_(kept)


def _switch(optimizer: Any, mode: str) -> None:
    getattr(optimizer, mode)()
