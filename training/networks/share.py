"""Which samples of a batch a process computes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Consecutive samples of a batch."""

    first: int
    count: int
    whole: int
    """Samples of the batch."""

    @property
    def weight(self) -> float:
        """Part of the batch's mean; 1 for all of it."""
        return self.count / self.whole
