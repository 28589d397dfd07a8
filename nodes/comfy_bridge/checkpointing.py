"""Gradient checkpointing per block: activations inside a block are computed again in backward instead of kept.

On the host's U-Net the blocks are its ResBlocks and transformer blocks; a coarser cut (the whole U-Net) saves nothing,
because all of it is recomputed, and kept, at once.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from comfy.ldm.modules.attention import BasicTransformerBlock
from comfy.ldm.modules.diffusionmodules.openaimodel import ResBlock
from torch import nn
from torch.utils.checkpoint import checkpoint


def _checkpointed(forward: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        if not torch.is_grad_enabled():
            return forward(*args, **kwargs)
        # No draw of a network uses the global generator, so there is no random state to keep.
        return checkpoint(forward, *args, use_reentrant=False, preserve_rng_state=False, **kwargs)

    return run


@contextmanager
def checkpointed_blocks(denoiser: nn.Module) -> Iterator[None]:
    """Inside, every ResBlock and transformer block of the U-Net keeps only its inputs for backward."""
    blocks = [module for module in denoiser.modules() if isinstance(module, (ResBlock, BasicTransformerBlock))]
    try:
        for block in blocks:
            block.forward = _checkpointed(block.forward)
        yield
    finally:
        for block in blocks:
            block.__dict__.pop("forward", None)
