"""One call that trains: finds or starts the run on disk, prepares the data, trains, returns the LoRA.

It knows no host: progress, previews and canceling are hooks.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timezone

import torch
from torch import Tensor

from ..data.prepared import PreparedDataset
from ..files.types import lost
from ..loop.final_weights import final_tensors
from ..loop.job import NoNumber, TrainState
from ..loop.out_of_memory import (
    FULL_BEFORE_TRAINING,
    FULL_WHILE_ENCODING,
    advice,
    explained_if_full,
    is_out_of_memory,
    release,
)
from ..loop.stages import stage_at
from ..loop.texts import FrozenTexts, is_text_trained
from ..loop.trainer import train
from ..optimizers.ema import Ema
from ..run.found import FoundRun
from ..run.lines import cut_lines
from ..run.pictures import note_pictures
from ..run.saver import Saver
from ..run.state import restore
from ..run.untold import forget_told, untold
from ..watch.diagnosis import Diagnosis
from ..watch.explanation import without_numbers
from .callbacks import Losses, Stay, session_callbacks
from .measures import diagnosed_images, diagnosis_at_end, held_out_notes, owed_measures
from .messages import closing_message, opening_text
from .opening import checked, continued_or_new, explained, held, job_of
from .plan import place_data, place_validation, trained_dataset
from .request import Hooks, Session, TrainRequest, TrainResult
from .trained_network import network_notes, without_frozen_parts


def run_training(request: TrainRequest, hooks: Hooks) -> TrainResult:
    """Train what is not trained yet and return the LoRA. For a finished run, nothing is encoded.

    Raises:
        ValueError: Invalid settings.
        RuntimeError: The run's folder is locked or read-only; both before anything is encoded.
    """
    ranks = hooks.ranks
    request = checked(request, ranks)
    is_explained = explained_if_full(lambda: FULL_BEFORE_TRAINING)
    with torch.inference_mode(False), nullcontext() if ranks.rank else held(request.root), is_explained:
        data = place_data(request)
        found = continued_or_new(request, data, ranks)
        job = job_of(request, found, data, ranks)
        session = Session(
            request=without_frozen_parts(request),
            job=job,
            found=found,
            data=data.all,
            validation=place_validation(request),
            started_at=datetime.now(timezone.utc),
            owed=owed_measures(request, found),
            notes=(*network_notes(request, job.network), *held_out_notes(request, found)),
        )
        del found  # the session releases its weights once they are loaded
        hooks.notify(opening_text(session))
        if not session.found.is_finished and ranks.rank == 0:
            _drop_later_figures(session.found)
        if not session.is_settled:
            _encode(session, hooks)
        with _trainable(session), job.network.attached():
            return _trained(session, hooks)


def _trained(session: Session, hooks: Hooks) -> TrainResult:
    job = session.job
    has_ema = any(plan.optimizer.ema_decay for plan in job.stages)
    state = TrainState(
        ema=Ema(job.network.named_parameters()) if has_ema else None,
        rate_changes=session.found.record.rate_changes,
    )
    before = _begun_from(session)
    _load_weights(session, state)
    found = session.found
    saver = Saver(found, session.request.saving, lambda now: hooks.metadata(session, now))
    losses = Losses()
    with explained_if_full(lambda: _where_full(session, state, max(saver.saved_step, 0))):
        try:
            train(job, state, [*session_callbacks(session, hooks, saver), losses, *([Stay()] if found.stays else [])])
        except NoNumber as error:
            raise without_numbers(job, state, error) from error
        tensors = final_tensors(job, state)
        rounded = _lost(session, state, tensors, before)
    diagnosis, missing = _diagnosis(session, hooks, state)
    notes = [*_told(saver), *session.notes, *rounded, *filter(None, [missing])]
    result = TrainResult(
        tensors=tensors,
        folder=found.folder,
        step=state.step,
        losses=tuple(losses.values),
        message=closing_message(found, state, notes),
        diagnosis=diagnosis,
    )
    if job.ranks.rank == 0:
        forget_told(found.folder.root)
    return result


def _begun_from(session: Session) -> Mapping[str, Tensor]:
    """Weights at the start that are no zeros: a LoRA's, or the magnitudes of DoRA, large beside what is learned."""
    start, network = session.request.start, session.job.network
    if start is not None or not session.request.network.weight_decompose:
        return {} if start is None else start.tensors
    return {name: tensor for name, tensor in network.state_dict().items() if name.endswith(".dora_scale")}


def _lost(
    session: Session, state: TrainState, tensors: Mapping[str, Tensor], before: Mapping[str, Tensor]
) -> list[str]:
    """What the files cannot hold of what was learned."""
    if session.job.ranks.rank or not state.step:
        return []
    stored = final_tensors(session.job, state, session.request.saving.dtype)
    return list(filter(None, [lost(tensors, stored, before)]))


def _diagnosis(session: Session, hooks: Hooks, state: TrainState) -> tuple[Diagnosis | None, str]:
    """What a finished run learned; where measuring it fills the memory, why it is missing: all is trained and saved."""
    try:
        return diagnosis_at_end(session, hooks, state), ""
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        release(error)
        return None, "no report of what was learned: the device's memory was full while images were measured"


def _told(saver: Saver) -> list[str]:
    """What was moved, also by queues before that were canceled."""
    return list(dict.fromkeys([*untold(saver.folder.root), *saver.told]))


def _load_weights(session: Session, state: TrainState) -> None:
    found, job = session.found, session.job
    if found.saved is not None:
        restore(found.saved, job, state)
    elif found.is_kept_step:
        state.step = found.step  # the network was created from its LoRA
    elif found.start is not None:
        for name, parameter in job.network.named_parameters():
            parameter.data.copy_(found.start.tensors[f"network/{name}"])
        if state.ema is not None:
            state.ema = Ema(job.network.named_parameters())
    if not found.is_finished and job.ranks.rank == 0:
        _note_begin(session)
    session.found = found.without_weights()


def _drop_later_figures(found: FoundRun) -> None:
    """Drops the figures of steps that will be trained again, before anything is encoded: they may be in use."""
    with explained(found.folder.root):
        for figures in (found.folder.metrics, found.folder.base_losses):
            cut_lines(figures, found.step)


def _note_begin(session: Session) -> None:
    """Notes what is trained, and that it is measured at the end."""
    folder = session.found.folder
    with explained(folder.root):
        note_pictures(session.found, trained_dataset(session.request).pictures())
        if session.request.is_diagnosed and not folder.wanted_report.exists():
            folder.wanted_report.touch()


def _encode(session: Session, hooks: Hooks) -> None:
    """Encode everything in advance that is still needed, so that VAE and frozen text encoders can leave the device."""
    texts = session.job.texts
    with explained_if_full(lambda: FULL_WHILE_ENCODING):
        for prepared in _data_needed(session):
            prepared.encode(hooks.counting("encoding images"))
            if isinstance(texts, FrozenTexts):
                with session.job.network.attached():  # the LoRA to continue may change the text encoders too
                    texts.prepare(prepared.distinct_captions() or (), hooks.counting("encoding captions"))


def _data_needed(session: Session) -> list[PreparedDataset]:
    """Data of the unfinished stages and of measurements."""
    stages = zip(session.job.stages, session.job.data, strict=True)
    trained = [data for planned, data in stages if planned.end > session.found.step]
    measured = [session.validation, diagnosed_images(session)]
    return [*dict.fromkeys(trained), *(data for data in measured if data is not None)]


def _trainable(session: Session) -> AbstractContextManager[None]:
    # A finished run needs no gradients; the host loads the model only to draw a picture.
    if session.is_settled:
        return nullcontext()
    return session.request.base.training(is_text_trained(session.job.network))


def _where_full(session: Session, state: TrainState, saved_step: int) -> str:
    job = session.job
    stage = job.stages[stage_at(job.stages, min(state.step, job.total_steps - 1))].stage
    base, rank = session.request.base, session.request.network.rank
    where = f"at step {state.step + 1}" if state.step < job.total_steps else "after the last step"
    return (
        f"the device's memory is full {where}. {saved_step} steps are saved. What needs less memory: "
        f"{advice(stage, rank, base.gradient_checkpointing)}."
    )
