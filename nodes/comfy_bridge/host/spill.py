"""Notices that the graphics memory overflowed into main memory, which Windows' drivers do without an error.

A step then takes ten times as long and nothing says why. Not seen at work yet: no Windows machine with a card was at
hand; the rule itself is tested.
"""

import os

import torch

FULL_SHARE = 0.98
"""A little of the card always belongs to the driver, so an allocator that holds this much has overflowed."""


def is_spilling(reserved_bytes: int, card_bytes: int) -> bool:
    """Whether an allocator holds more than a card has."""
    return reserved_bytes > FULL_SHARE * card_bytes


def spill_warning(device: torch.device, os_name: str = os.name) -> str | None:
    """What to say of a device that overflows now; None where there is nothing to say."""
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
