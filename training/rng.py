"""Every random draw of a run comes from here, so that the seed alone decides them.

A draw is named by its purpose and by counters (step, image, ...). Resuming needs no stored generator state, and
switching one feature on never changes the draws of another.
"""

import hashlib

import torch


def derived_seed(seed: int, purpose: str, *counters: int) -> int:
    """Seed (63 bits) for one named draw; equal arguments give equal seeds on every machine."""
    key = "/".join((str(seed), purpose, *map(str, counters)))
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little") >> 1


def generator(seed: int, purpose: str, *counters: int) -> torch.Generator:
    """CPU generator for one named draw. The global generator is neither read nor moved."""
    return torch.Generator().manual_seed(derived_seed(seed, purpose, *counters))
