"""Keeps the processes of a run in step: after each step, rank 0's callbacks decide whether and how fast to continue.

Two callbacks that communicate once before every step. While rank 0 saves or draws, the others wait.
"""

from .job import Callback, StopTraining, TrainJob, TrainState
from .parallel import RankLost, Ranks
from .rate_changes import RateChanges
from .report import StepReport

GO_ON, STOP, FAILED = "go on", "stop", "failed"


class Lead(Callback):
    """Rank 0's callback; comes after every callback that may end the run."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._told_step = -1

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Tell the others to begin."""
        self._tell(GO_ON, state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Tell the others to continue."""
        self._tell(GO_ON, state)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Tell waiting processes to end; those inside a step end when this process does."""
        if self._told_step != state.step:
            self._tell(STOP if error is None else FAILED, state)

    def _tell(self, word: str, state: TrainState) -> None:
        self._ranks.from_first(lambda: (word, state.rate_changes))
        self._told_step = state.step


class Follow(Callback):
    """The first callback of every other rank."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Wait for rank 0 to begin."""
        self._listen(state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Wait for rank 0 to continue."""
        self._listen(state)

    def _listen(self, state: TrainState) -> None:
        word, state.rate_changes = self._ranks.from_first(_nothing_said)
        if word == STOP:
            raise StopTraining
        if word == FAILED:
            raise RankLost("the first process ended the run; its output says why")


def _nothing_said() -> tuple[str, RateChanges]:
    """Placeholder that rank 0's message replaces."""
    return FAILED, ()
