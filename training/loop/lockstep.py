"""Keeps the processes of a run in step: rank 0's callbacks decide after each step whether all go on, and how fast.

Two callbacks that speak to each other once before every step. While rank 0 saves or draws, the others wait.
"""

from .job import Callback, StopTraining, TrainJob, TrainState
from .parallel import RankLost, Ranks
from .rate_changes import RateChanges
from .report import StepReport

GO_ON, STOP, FAILED = "go on", "stop", "failed"


class Lead(Callback):
    """Callback of rank 0, behind all that may end the run."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks
        self._told_step = -1

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Lets the others begin."""
        self._tell(GO_ON, state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Lets them go on."""
        self._tell(GO_ON, state)

    def on_end(self, job: TrainJob, state: TrainState, error: BaseException | None) -> None:
        """Ends them where they wait for a word; inside a step they end with this process."""
        if self._told_step != state.step:
            self._tell(STOP if error is None else FAILED, state)

    def _tell(self, word: str, state: TrainState) -> None:
        self._ranks.from_first(lambda: (word, state.rate_changes))
        self._told_step = state.step


class Follow(Callback):
    """Callback of every other rank, its first."""

    def __init__(self, ranks: Ranks) -> None:
        self._ranks = ranks

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Waits for the word to begin."""
        self._listen(state)

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Waits for the word to go on."""
        self._listen(state)

    def _listen(self, state: TrainState) -> None:
        word, state.rate_changes = self._ranks.from_first(_nothing_said)
        if word == STOP:
            raise StopTraining
        if word == FAILED:
            raise RankLost("the first process ended the run; its output says why")


def _nothing_said() -> tuple[str, RateChanges]:
    """What rank 0 alone would put its own word in place of."""
    return FAILED, ()
