"""Checks before a run starts that the saved file can represent its values."""

from math import sqrt

import torch

from ..networks.settings import NetworkSettings


def check_fits(network: NetworkSettings, dtype: torch.dtype) -> None:
    """Refuse an alpha that the number format of the file would turn into infinity, which makes programs draw noise.

    Raises:
        ValueError: With the largest value of the format.
    """
    largest = torch.finfo(dtype).max
    for name, rank, alpha in (
        ("alpha", network.rank, network.alpha or network.rank),
        ("conv_alpha", *network.conv_size),
    ):
        written = alpha * (sqrt(rank) if network.rank_stabilized else 1.0)
        if written > largest:
            kind = str(dtype).removeprefix("torch.")
            by_rank = f" ({written:g} is written, alpha times the root of the rank)" if network.rank_stabilized else ""
            raise ValueError(
                f"{name} must be at most {largest:g} to be saved as {kind}, got {alpha:g}{by_rank}; lower it, or set "
                "save_dtype to bfloat16 or float32"
            )
