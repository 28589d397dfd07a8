"""The processes that train together, started by torchrun through `headless.py`; a normal ComfyUI is alone."""

import os
from datetime import timedelta

import comfy.model_management
import torch
import torch.distributed as dist

from ....training.loop.parallel import ALONE, Ranks, TorchRanks

TIMEOUT = timedelta(hours=1)
"""Time to wait while rank 0 draws previews or encodes. A process that dies is noticed at once."""

_ranks: list[Ranks] = []


def current_ranks() -> Ranks:
    """The ranks of this process."""
    return _ranks[0] if _ranks else ALONE


def join_ranks() -> Ranks:
    """Join the other processes that torchrun started; alone without torchrun."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not _ranks:
        device = comfy.model_management.get_torch_device()
        if device.type == "cuda":
            torch.cuda.set_device(device)
        has_nccl = device.type == "cuda" and dist.is_nccl_available()  # missing on Windows
        # losses and messages between processes are on the CPU, gradients on the network's device
        dist.init_process_group("cpu:gloo,cuda:nccl" if has_nccl else "gloo", timeout=TIMEOUT)
        _ranks.append(TorchRanks())
    return current_ranks()
