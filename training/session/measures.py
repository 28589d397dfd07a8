"""Measurements at the end of a run; if they were canceled, the next queue makes up for them."""

import logging

from ..data.dataset import Dataset
from ..data.prepared import PreparedDataset
from ..loop.job import TrainState
from ..run.found import FoundRun
from ..run.metrics import last_validated
from ..run.pictures import trained_pictures
from ..watch.diagnosis import Diagnosis, diagnose, load_diagnosis, num_images_worth_measuring, save_diagnosis
from .request import Hooks, Measure, Session, TrainRequest


def owed_measures(request: TrainRequest, found: FoundRun) -> frozenset[Measure]:
    """What should have been measured at the end of a finished run, but was canceled."""
    if not found.is_finished or found.stays or found.is_kept_step:
        return frozenset()
    folder, held_out = found.folder, request.validation.dataset
    owed = set[Measure]()
    if held_out is not None and 0 <= last_validated(folder.metrics, set_id(held_out)) < found.step:
        owed.add("validation")
    if request.is_diagnosed and folder.wanted_report.is_file() and not folder.report.is_file():
        owed.add("report")
    return frozenset(owed)


def set_id(held_out: Dataset) -> str:
    """Digest of a validation set's content."""
    return held_out.fingerprint()[:12]


def held_out_notes(request: TrainRequest, found: FoundRun) -> list[str]:
    """That images are held out now which decided the weights that the run goes on from."""
    held_out = request.validation.dataset
    pictures = held_out.pictures() if held_out is not None else set[str]()
    trained = pictures & trained_pictures(found)
    if not trained:
        return []
    return [
        f"{len(trained)} of {len(pictures)} held-out images were trained before, in the run whose weights this one "
        "goes on from: its validation loss is lower than that of images it never saw"
    ]


def diagnosed_images(session: Session) -> PreparedDataset | None:
    """The training images whose losses are compared with the base model's at the end; None if switched off."""
    if not session.request.is_diagnosed or not session.is_to_measure("report"):
        return None
    num_images = num_images_worth_measuring(session.job)
    return session.data.still(num_images) if num_images else None


def diagnosis_at_end(session: Session, hooks: Hooks, state: TrainState) -> Diagnosis | None:
    """What a finished run learned: measured now and saved, or loaded from an earlier measurement."""
    path, job = session.found.folder.report, session.job
    if state.step < job.total_steps or job.ranks.rank:
        return None
    images = diagnosed_images(session)
    if images is None:
        known = load_diagnosis(path)
        return known if known and known.step == state.step else None
    diagnosis = diagnose(job, state, images, hooks.counting("measuring images"))
    if diagnosis is not None:
        try:
            save_diagnosis(path, diagnosis)
        except OSError as error:  # all is trained and saved: the node still shows the report
            logging.warning("[LoRA Bakery] the report %s could not be saved: %s", path, error.strerror or error)
    return diagnosis
