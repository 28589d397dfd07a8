"""Gradient checkpointing: activations inside a block are recomputed in the backward pass instead of kept.

Checkpointing the whole U-Net would save nothing, since all of it is recomputed, and kept, at once. `on` checkpoints
blocks that save much for little time; `finer` adds the others, and each transformer block within them.
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
        # Networks never draw from the global generator, so there is no random state to keep.
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return run


def _blocks(denoiser: nn.Module, level: Checkpointing) -> list[nn.Module]:
    """The blocks that keep only their inputs.

    The widest residual blocks have the most weights and the fewest pixels: much to recompute for little memory, so `on`
    skips them. A transformer with one block (SD1.5) is checkpointed as a whole, with its projections; with more (SDXL),
    each block is, since together they are a large part of the model.
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
    """Context in which blocks of the U-Net keep only their inputs for the backward pass; `off` changes nothing."""
    blocks = [] if level == "off" else _blocks(denoiser, level)
    try:
        for block in blocks:
            block.forward = _checkpointed(block.forward)
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)
