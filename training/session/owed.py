"""What a run was to measure at its end and did not, because it was cancelled there. The next queue makes up for it."""

from ..data.dataset import Dataset
from ..run.find import FoundRun
from ..run.metrics import is_report_wanted, last_validated
from .request import Measure, TrainRequest


def owed_measures(request: TrainRequest, found: FoundRun) -> frozenset[Measure]:
    """What a finished run should have measured at its end, when it was cancelled there."""
    if not found.is_finished or found.stays or found.is_kept_step:
        return frozenset()
    folder, held_out = found.folder, request.validation.dataset
    owed = set[Measure]()
    if held_out is not None and 0 <= last_validated(folder.metrics, set_id(held_out)) < found.step:
        owed.add("validation")
    if request.is_diagnosed and is_report_wanted(folder.metrics) and not folder.report.is_file():
        owed.add("report")
    return frozenset(owed)


def set_id(held_out: Dataset) -> str:
    """Names a validation set by its content."""
    return held_out.fingerprint()[:12]
