"""The callbacks of a run and their order."""

from ..loop.job import Callback, StopTraining, TrainJob, TrainState
from ..loop.lockstep import Follow, Lead
from ..loop.report import StepReport
from ..run.saver import Saver
from ..watch.divergence import DivergenceGuard
from ..watch.validation import Validator
from .measures import set_id
from .request import Hooks, Session


def session_callbacks(session: Session, hooks: Hooks, saver: Saver) -> list[Callback]:
    """The callbacks of this process. Only rank 0 saves, draws and stops; the others follow it."""
    ranks = hooks.ranks
    if ranks.rank:
        return [Follow(ranks)]
    callbacks = [*_own_callbacks(session, hooks, saver), *hooks.callbacks(session, saver)]
    return [*callbacks, Lead(ranks)] if ranks.size > 1 else callbacks


def _own_callbacks(session: Session, hooks: Hooks, saver: Saver) -> list[Callback]:
    """The guard precedes the saver, so that no diverged step is saved; the saver precedes all that may end a run."""
    is_fresh = session.request.start is None and session.found.record.parent is None
    guard = DivergenceGuard(saver.folder, saver.base_losses, is_fresh=is_fresh)
    saver.good_step = lambda: guard.good_step
    callbacks: list[Callback] = [guard, saver]
    settings = session.request.validation
    if session.validation is not None and settings.dataset is not None and session.is_to_measure("validation"):
        every = settings.every or session.request.saving.save_every
        progress = hooks.counting("validating")
        callbacks.append(Validator(session.validation, set_id(settings.dataset), every, saver, progress))
    return callbacks


class Stay(Callback):
    """Callback that ends a run before its first step, after the others have started; comes last."""

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """End the run."""
        raise StopTraining


class Losses(Callback):
    """Callback that collects the loss of every step, for the LOSS_MAP output."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Collect the weighted loss."""
        if not report.is_left_out:
            self.values.append(report.loss)
