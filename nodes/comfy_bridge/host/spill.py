"""Detects GPU memory that overflowed into main memory, which Windows drivers do without an error.

A step then takes ten times as long and nothing says why. Not yet observed in practice, since no Windows machine with a
GPU was available; the rule itself is tested.
"""

import os

import torch

FULL_SHARE = 0.98
"""Some GPU memory always belongs to the driver, so an allocator that holds this share has overflowed."""


def is_spilling(reserved_bytes: int, card_bytes: int) -> bool:
    """Whether an allocator holds more memory than the GPU has."""
    return reserved_bytes > FULL_SHARE * card_bytes


def spill_warning(device: torch.device, os_name: str = os.name) -> str | None:
    """A warning if this device is overflowing now, else None."""
    if os_name != "nt" or device.type != "cuda":
        return None
    reserved, card = torch.cuda.memory_reserved(device), torch.cuda.get_device_properties(device).total_memory
    if not is_spilling(reserved, card):
        return None
    return (
        f"the card's {card / 2**30:.1f} GiB are full and training spills into main memory, which is many times slower: "
        "turn gradient_checkpointing on or to finer, lower the batch size, the resolution or the rank, "
        "or close other programs that draw"
    )
