"""Gradient checkpointing: activations inside a block are computed again in backward instead of kept.

A coarse cut (the whole U-Net) saves nothing, because all of it is recomputed, and kept, at once. `on` cuts where much
is saved for little time; `finer` cuts the rest too, and transformers once more inside their own recomputation.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from comfy.ldm.modules.attention import BasicTransformerBlock, CrossAttention, FeedForward, SpatialTransformer
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from torch import nn
from torch.utils.checkpoint import checkpoint

from ....training.base_model import Checkpointing


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        # No draw of a network uses the global generator, so there is no random state to keep.
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return run


def _blocks(denoiser: nn.Module, level: Checkpointing) -> list[nn.Module]:
    """What keeps only its inputs.

    The widest residual blocks have most weights and fewest pixels: much to compute again for little memory, so that
    `on` leaves them alone. A transformer of one block (SD1.5) is cut as a whole, with its projections; of one with
    more (SDXL) each block is, since all of them together are a large part of the model.
    """
    found: list[nn.Module] = []
    widest = max((module.out_channels for module in denoiser.modules() if isinstance(module, ResBlock)), default=0)
    for module in denoiser.modules():
        if isinstance(module, ResBlock):
            if level == "finer" or module.out_channels < widest:
                found.append(module)
        elif isinstance(module, SpatialTransformer):
            is_deep = len(module.transformer_blocks) > 1
            if level == "finer" or not is_deep:
                found.append(module)
            if is_deep:
                found += [block for block in module.transformer_blocks if isinstance(block, BasicTransformerBlock)]
            elif level == "finer":
                found += [part for part in module.modules() if isinstance(part, (CrossAttention, FeedForward))]
    return found


@contextmanager
def checkpointed_blocks(denoiser: nn.Module, level: Checkpointing) -> Iterator[None]:
    """Inside, blocks of the U-Net keep only their inputs for backward; with `off`, nothing changes."""
    blocks = [] if level == "off" else _blocks(denoiser, level)
    try:
        for block in blocks:
            block.forward = _checkpointed(block.forward)
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)
