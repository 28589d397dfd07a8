"""The samples of a batch that one process computes."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Share:
    """Consecutive samples of a batch."""

    first: int
    count: int
    whole: int
    """Number of samples in the whole batch."""

    @property
    def weight(self) -> float:
        """Weight in the batch's mean; 1 for the whole batch."""
        return self.count / self.whole
