"""From a request to concrete stages, and to the key that says which run it is."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace

from .data.dataset import Dataset
from .data.prepare import prepare
from .data.prepared import PreparedDataset
from .optimizers.schedules import ScheduleSettings
from .run.identity import RunKey, StageKey, fingerprint
from .session_types import Hooks, TrainRequest
from .stages import Stage, stage_optimizers, stage_steps
from .job import StagePlan

DataByResolution = Mapping[int | None, PreparedDataset]


def prepare_data(request: TrainRequest, hooks: Hooks) -> dict[int | None, PreparedDataset]:
    """The dataset encoded at every resolution the stages ask for; None is the dataset's own."""
    resolutions = dict.fromkeys([None, *(stage.resolution for stage in request.stages)])
    return {
        resolution: prepare(
            at_resolution(request.dataset, resolution),
            request.base.encode_images,
            request.base.family,
            encoder_id=request.encoder_key,
            cache_dir=request.cache_dir,
            on_progress=lambda done, of: hooks.progress("encoding images", done, of),
        )
        for resolution in resolutions
    }


def at_resolution(dataset: Dataset, resolution: int | None) -> Dataset:
    """The dataset with its buckets at another resolution; None leaves it."""
    if resolution is None:
        return dataset
    return dataset.map(lambda subset: replace(subset, buckets=replace(subset.buckets, resolution=resolution)))


def stage_plans(request: TrainRequest, data: DataByResolution) -> tuple[StagePlan, ...]:
    """Every wanted stage with its steps, data and optimizer."""

    def num_batches(stage: Stage) -> int:
        return data[stage.resolution].num_batches(stage.batch_size)

    optimizers = stage_optimizers(request.stages, request.optimizer)
    return tuple(
        StagePlan(stage=stage, steps=stage_steps(stage, num_batches), data=data[stage.resolution], optimizer=optimizer)
        for stage, optimizer in zip(request.stages, optimizers, strict=True)
    )


def run_key(request: TrainRequest, plans: Sequence[StagePlan]) -> RunKey:
    """What decides the weights, and nothing else."""
    return RunKey(
        base=fingerprint(
            request.base_key,
            request.encoder_key,
            request.network,
            request.objective,
            request.seed,
            request.start.key if request.start else None,
        ),
        dataset=request.dataset.fingerprint(),
        stages=tuple(_stage_key(plan) for plan in plans),
    )


def _stage_key(plan: StagePlan) -> StageKey:
    length_free = {**asdict(plan.stage), "steps": None, "epochs": None, "optimizer": None}
    return StageKey(fingerprint(length_free, plan.optimizer), plan.steps, depends_on_length(plan.optimizer.schedule))


def depends_on_length(schedule: ScheduleSettings) -> bool:
    """True where another number of steps would give other rates from the start."""
    has_end = schedule.schedule not in ("constant", "inverse_sqrt")
    return has_end or 0 < schedule.warmup_steps < 1
