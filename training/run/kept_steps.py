"""Steps of longer runs whose LoRAs were kept: what fewer steps of the same settings ask for."""

from dataclasses import replace

from .aside import is_as_planned
from .folder import RunFolder
from .found import FindSettings, FoundRun
from .identity import RunKey, is_prefix
from .name import is_own
from .record import RunRecord, load_record
from .state import load_state


def kept_step(folder: RunFolder, key: RunKey, settings: FindSettings) -> FoundRun | None:
    """A run that was trained at least as far as is wanted, at the wanted step, if the LoRA of that was kept."""
    record, step = record_of(folder, key, settings), _num_steps(key)
    if record is None or not is_prefix(key.stages, record.segments):
        return None
    is_end = step >= sum(segment.steps for segment in record.segments)
    if is_end and folder.states():
        return None  # the state decides, which is exact; people may have deleted all of them, though
    loras = folder.step_loras()
    if step not in loras or not is_own(folder, loras[step]) or not is_as_planned(loras[step], record, step):
        return None
    is_furthest = is_end or step >= max([*folder.states(), *loras])  # of a run that died before it saved its state
    record, saved = replace(record, segments=key.stages), load_state(folder.state(step))
    return FoundRun(folder=folder, record=record, step=step, saved=saved, is_kept_step=True, is_stateless=is_furthest)


def not_kept(folders: list[RunFolder], key: RunKey, settings: FindSettings) -> list[str]:
    """Why steps are trained again that a longer run of this name has been through."""
    records = ((folder, record_of(folder, key, settings)) for folder in folders)
    longer = (
        folder.run_id
        for folder, record in records
        if record and is_prefix(key.stages, record.segments) and max(folder.states(), default=0) > _num_steps(key)
    )
    run_id = next(longer, None)
    return [f"run {run_id} was trained further, but its step {_num_steps(key)} was not kept"] if run_id else []


def _num_steps(key: RunKey) -> int:
    return sum(stage.steps for stage in key.stages)


def record_of(folder: RunFolder, key: RunKey, settings: FindSettings) -> RunRecord | None:
    """The record of a run whose weights the wanted run could have; None otherwise."""
    record = load_record(folder.record)
    if record is None or not record.is_of(key) or (record.parent and settings.on_dataset_change == "start over"):
        return None
    return record
