"""One call that trains: finds or begins the run on disk, prepares the data, trains, returns the LoRA.

It knows no host: what a host adds (progress, previews, cancelling) comes in as hooks.
"""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime, timezone
from pathlib import Path

import torch

from ..data.prepared import PreparedDataset
from ..files.lora_file import load_lora
from ..loop.job import Callback, NoNumber, StopTraining, TextSource, TrainJob, TrainState
from ..loop.lockstep import Follow, Lead
from ..loop.out_of_memory import OutOfMemory, advice, is_out_of_memory
from ..loop.parallel import Ranks, check_batch_size
from ..loop.report import StepReport
from ..loop.stages import planned_stages, stage_at
from ..loop.texts import FrozenTexts, TrainedTexts, is_text_trained
from ..loop.trainer import train
from ..networks.network import Network
from ..networks.settings import NetworkSettings
from ..optimizers.ema import Ema
from ..run.find import FoundRun, find_run
from ..run.folder import check_name, check_names_fit
from ..run.lock import locked
from ..run.metrics import cut_metrics, note_wanted_report
from ..run.saver import SaveFailed, Saver, final_tensors
from ..run.state import restore
from ..watch.diagnosis import Diagnosis, diagnose, load_diagnosis, num_images_worth_measuring, save_diagnosis
from ..watch.divergence import DivergenceGuard
from ..watch.explanation import without_numbers
from ..watch.validation import Validator
from .messages import closing_message, opening_text
from .owed import owed_measures, set_id
from .plan import PlacedData, hold_out, place_data, place_validation, run_key
from .precision import check_fits
from .request import Hooks, Session, TrainRequest, TrainResult
from .trained_parts import network_notes, without_frozen_parts


def run_training(request: TrainRequest, hooks: Hooks) -> TrainResult:
    """Trains what is not trained yet and returns the LoRA. Of a finished run no picture or caption is encoded.

    Raises ValueError for settings that cannot work and RuntimeError if the run's folder is in use or cannot be written,
    both before anything long begins.
    """
    check_name(request.root.name)
    request = hold_out(request)
    with _explained(request.root):
        check_names_fit(request.root)
    check_batch_size(hooks.ranks, (stage.batch_size for stage in request.stages))
    check_fits(request.network, request.saving.dtype)
    with torch.inference_mode(False), _locked(request, hooks.ranks):
        data = place_data(request)
        key, description = run_key(request, data), _description(request)
        with _explained(request.root):
            found = hooks.ranks.from_first(lambda: find_run(request.root, key, request.finding, description))
        asked, request = request, without_frozen_parts(request)
        network = _network(request, asked.network, found)
        texts = TrainedTexts(request.base) if is_text_trained(network) else FrozenTexts(request.base)
        job = _job(request, network, data, found, texts, hooks.ranks)
        session = Session(
            request=request,
            job=job,
            found=found,
            data=data.all,
            validation=place_validation(request),
            started_at=datetime.now(timezone.utc),
            owed=owed_measures(request, found),
            notes=network_notes(asked, network),
        )
        del found  # the session lets its weights go once they are loaded
        hooks.notify(opening_text(session))
        if not session.is_settled:
            _encode(session, hooks, texts)
        with _opened(session):
            network.attach()
            try:
                return _train_attached(session, hooks)
            finally:
                network.detach()


def _train_attached(session: Session, hooks: Hooks) -> TrainResult:
    job = session.job
    has_ema = any(plan.optimizer.ema_decay for plan in job.stages)
    state = TrainState(
        ema=Ema(job.network.named_parameters()) if has_ema else None,
        rate_changes=session.found.record.rate_changes,
    )
    _load_weights(session, state)
    found = session.found
    saver = Saver(found.folder, session.request.saving, lambda now: hooks.metadata(session, now))
    losses = Losses()
    try:
        callbacks = [*_callbacks(session, hooks, saver), losses, *([Stay()] if found.stays else [])]
        train(job, state, callbacks)
    except NoNumber as error:
        raise without_numbers(job, state, error) from error
    except BaseException as error:
        if is_out_of_memory(error):
            raise _out_of_memory(session, state, max(saver.saved_step, 0)) from error
        raise
    return TrainResult(
        tensors=final_tensors(job, state),
        folder=found.folder,
        step=state.step,
        losses=tuple(losses.values),
        message=closing_message(found, state, [*saver.told, *session.notes]),
        diagnosis=_diagnosis(session, hooks, state),
    )


def _callbacks(session: Session, hooks: Hooks, saver: Saver) -> list[Callback]:
    """Only one process saves, draws and stops; the others follow it."""
    ranks = hooks.ranks
    if ranks.rank:
        return [Follow(ranks)]
    callbacks = [*_own_callbacks(session, hooks, saver), *hooks.callbacks(session, saver)]
    return [*callbacks, Lead(ranks)] if ranks.size > 1 else callbacks


def _own_callbacks(session: Session, hooks: Hooks, saver: Saver) -> list[Callback]:
    """The guard comes before the saver, so that nothing worthless is saved; the saver before all that may end a run."""
    is_fresh = session.request.start is None and session.found.record.parent is None
    callbacks: list[Callback] = [DivergenceGuard(saver.folder, is_fresh=is_fresh), saver]
    settings = session.request.validation
    is_validated = not session.found.is_finished or "validation" in session.owed
    if session.validation is not None and settings.dataset is not None and is_validated:
        every = settings.every or session.request.saving.save_every
        progress = _progress(hooks, "validating")
        callbacks.append(Validator(session.validation, set_id(settings.dataset), every, saver, progress))
    return callbacks


def _load_weights(session: Session, state: TrainState) -> None:
    found, job = session.found, session.job
    if found.saved is not None:
        restore(found.saved, job, state)
    elif found.is_kept_step:
        state.step = found.step  # the network was made from its LoRA
    elif found.start is not None:
        for name, parameter in job.network.named_parameters():
            parameter.data.copy_(found.start.tensors[f"network/{name}"])
        if state.ema is not None:
            state.ema = Ema(job.network.named_parameters())
    if not found.is_finished and job.ranks.rank == 0:
        _begin_figures(session, state.step)
    session.found = found.without_weights()


def _begin_figures(session: Session, step: int) -> None:
    """Drops the figures of steps that will be trained again, and notes what is to be measured at the end."""
    folder = session.found.folder
    for figures in (folder.metrics, folder.base_losses):
        cut_metrics(figures, step)
    if session.request.is_diagnosed:
        note_wanted_report(folder.metrics, step)


class Stay(Callback):
    """Callback that ends a run before its first step, once the others have begun; it comes last."""

    def on_start(self, job: TrainJob, state: TrainState) -> None:
        """Ends it."""
        raise StopTraining


class Losses(Callback):
    """Callback that keeps the loss of every step, for the LOSS_MAP output."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def on_step(self, job: TrainJob, state: TrainState, report: StepReport) -> None:
        """Keeps the weighted loss."""
        if not report.is_left_out:
            self.values.append(report.loss)


def _network(request: TrainRequest, asked: NetworkSettings, found: FoundRun) -> Network:
    """A fresh one is chosen by what was asked, whose patterns may name frozen parts, and has the trained ones."""
    base = request.base
    parts = base.parts()
    if found.is_kept_step and found.saved is None:
        tensors = load_lora(found.folder.step_loras()[found.step]).tensors
        network = Network.from_tensors(parts, base.family, tensors, request.network, read=base.frozen_tensor)
    elif request.start is None:
        network = Network.create(parts, base.family, asked, request.seed, base.frozen_tensor)
        network = network.of_parts(request.network.parts)
    else:
        start = dict(request.start.tensors)
        network = Network.from_tensors(parts, base.family, start, request.network, read=base.frozen_tensor)
    return network.to_parts(base.device_of)


def _job(
    request: TrainRequest, network: Network, data: PlacedData, found: FoundRun, texts: TextSource, ranks: Ranks
) -> TrainJob:
    segments = found.record.segments
    return TrainJob(
        base=request.base,
        network=network,
        objective=request.objective,
        stages=planned_stages(
            [request.stages[segment.stage] for segment in segments],
            request.optimizer,
            [segment.steps for segment in segments],
        ),
        data=tuple(data.stages[segment.stage] for segment in segments),
        texts=texts,
        seed=request.seed,
        ranks=ranks,
    )


def _encode(session: Session, hooks: Hooks, texts: FrozenTexts | TrainedTexts) -> None:
    """All that can be encoded ahead and is still needed, so that VAE and frozen text encoders can leave the device."""
    for prepared in _data_needed(session):
        prepared.encode(_progress(hooks, "encoding images"))
        if isinstance(texts, FrozenTexts):
            with session.job.network.attached():  # a LoRA to go on from may change the text encoders too
                texts.prepare(prepared.distinct_captions() or (), _progress(hooks, "encoding captions"))


def _data_needed(session: Session) -> list[PreparedDataset]:
    """What the stages that are not done yet train, and what is measured."""
    stages = zip(session.job.stages, session.job.data, strict=True)
    trained = [data for planned, data in stages if planned.end > session.found.step]
    is_measured = session.request.is_diagnosed and (not session.found.is_finished or "report" in session.owed)
    num_images = num_images_worth_measuring(session.job) if is_measured else 0
    measured = [session.data.still(num_images)] if num_images else []
    return [*dict.fromkeys(trained), *([session.validation] if session.validation else []), *measured]


@contextmanager
def _explained(root: Path) -> Generator[None]:
    try:
        yield
    except OSError as error:
        raise SaveFailed(
            f"nothing can be written for {root.name!r}: {error.strerror or error}. What was saved is safe. Free "
            f"space on the disk, or allow ComfyUI to write in {root}, then queue again."
        ) from error


def _locked(request: TrainRequest, ranks: Ranks) -> AbstractContextManager[None]:
    return nullcontext() if ranks.rank else locked(request.root)


def _opened(session: Session) -> AbstractContextManager[None]:
    # A finished run needs no gradients: the host loads the model only if a picture is drawn.
    if session.is_settled:
        return nullcontext()
    return session.request.base.training(is_text_trained(session.job.network))


def _diagnosis(session: Session, hooks: Hooks, state: TrainState) -> Diagnosis | None:
    path, job = session.found.folder.report, session.job
    if state.step < job.total_steps or job.ranks.rank:
        return None
    num_images = num_images_worth_measuring(job)
    is_made_now = not session.found.is_finished or "report" in session.owed
    if not is_made_now or not session.request.is_diagnosed or not num_images:
        known = load_diagnosis(path)
        return known if known and known.step == state.step else None
    diagnosis = diagnose(job, state, session.data.still(num_images), _progress(hooks, "measuring images"))
    if diagnosis is not None:
        save_diagnosis(path, diagnosis)
    return diagnosis


def _out_of_memory(session: Session, state: TrainState, saved_step: int) -> OutOfMemory:
    job = session.job
    stage = job.stages[stage_at(job.stages, min(state.step, job.total_steps - 1))].stage
    base, rank = session.request.base, session.request.network.rank
    return OutOfMemory(
        f"the device's memory is full at step {state.step + 1}. {saved_step} steps are saved. What needs less memory: "
        f"{advice(stage, rank, base.gradient_checkpointing)}."
    )


def _progress(hooks: Hooks, what: str) -> Callable[[int, int], None]:
    return lambda done, of: hooks.progress(what, done, of)


def _description(request: TrainRequest) -> dict[str, object]:
    return {
        "network": repr(request.network),
        "objective": repr(request.objective),
        "stages": [repr(stage) for stage in request.stages],
        "seed": request.seed,
    }
