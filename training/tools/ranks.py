"""Selects the rank to keep of a change: a number, or as many singular values as a rule requires."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

RankMethod = Literal["fixed", "sv_ratio", "sv_fro", "sv_cumulative"]
RANK_METHODS: tuple[RankMethod, ...] = ("fixed", "sv_ratio", "sv_fro", "sv_cumulative")


@dataclass(frozen=True, kw_only=True, slots=True)
class RankChoice:
    """Rank per module, with the rules and names of sd-scripts' resize tool."""

    rank: int = 16
    """Rank; for the rules the maximum per module; at least 1."""
    conv_rank: int | None = None
    """The same for 3x3 convolutions; None = `rank`."""
    method: RankMethod = "fixed"
    """fixed: `rank` everywhere. sv_ratio: values above the largest / `threshold`. sv_fro: enough for `threshold` of the
    Frobenius norm. sv_cumulative: enough for `threshold` of the sum of all values."""
    threshold: float = 0.9
    """sv_ratio: above 1. sv_fro and sv_cumulative: a share, 0 to 1. Ignored by fixed."""

    def __post_init__(self) -> None:
        """Refuse values that no module could satisfy."""
        for name, rank in (("rank", self.rank), ("conv_rank", self.conv_rank)):
            if rank is not None and rank < 1:
                raise ValueError(f"{name} must be at least 1, got {rank}")
        if self.method == "sv_ratio" and not self.threshold > 1:
            raise ValueError(f"threshold must be above 1 for sv_ratio, got {self.threshold}; 10 is a usual value")
        if self.method in ("sv_fro", "sv_cumulative") and not 0 < self.threshold <= 1:
            raise ValueError(f"threshold must be above 0 and at most 1 for {self.method}, got {self.threshold}")

    def limit(self, *, is_conv: bool) -> int:
        """Maximum rank of a module."""
        return self.conv_rank if is_conv and self.conv_rank is not None else self.rank

    @property
    def needs_all_values(self) -> bool:
        """Whether the rule needs the small singular values too."""
        return self.method == "sv_cumulative"

    def pick(self, values_K: Tensor, norm: float, *, is_conv: bool) -> int:
        """Rank for a module with these descending singular values, at least 1.

        `norm` is the Frobenius norm of the whole change, since the values may be cut off.
        """
        limit = self.limit(is_conv=is_conv)
        if self.method == "fixed":
            return limit
        if norm == 0:
            return 1
        if self.method == "sv_ratio":
            wanted = int((values_K > values_K[0] / self.threshold).sum())
        else:
            powers = values_K.double() ** (2 if self.method == "sv_fro" else 1)
            total, share = (norm**2, self.threshold**2) if self.method == "sv_fro" else (powers.sum(), self.threshold)
            reached = torch.cumsum(powers, 0) >= share * total * (1 - 1e-9)
            wanted = int(reached.double().argmax()) + 1 if bool(reached.any()) else len(values_K)
        return max(1, min(wanted, limit))


AUTOMATIC = RankChoice(rank=128, method="sv_fro", threshold=0.999)
"""For changes without an exact low-rank form: 99.9 % of the norm, rank 128 at most."""
