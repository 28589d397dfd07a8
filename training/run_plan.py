"""From a request to concrete stages, and to the key that says which run it is."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from .data.dataset import Dataset, split
from .data.prepare import place_dataset
from .data.prepared import PreparedDataset
from .job import StagePlan
from .optimizers.schedules import ScheduleSettings
from .run.identity import RunKey, StageKey, fingerprint
from .session_types import TrainRequest
from .stages import Stage, stage_optimizers, stage_steps

DataByResolution = Mapping[int | None, PreparedDataset]


def hold_out(request: TrainRequest) -> TrainRequest:
    """The request with its validation images taken out of the training images.

    Raises:
        ValueError: The share cannot be held out, or images of a given validation set are trained too.
    """
    settings = request.validation
    if settings.dataset is None and settings.share:
        train, held_out = split(request.dataset, settings.share, request.seed)
        return replace(request, dataset=train, validation=replace(settings, dataset=held_out))
    if settings.dataset is not None:
        trained = {item.content_hash for subset in request.dataset.subsets for item in subset.items}
        items = (item for subset in settings.dataset.subsets for item in subset.items)
        shared = [item.name for item in items if item.content_hash in trained]
        if shared:
            raise ValueError(
                f"validation_dataset must hold images that are not trained, got {len(shared)} that are "
                f"({', '.join(shared[:3])}); take them out of one of the two datasets"
            )
    return request


def place_data(request: TrainRequest) -> dict[int | None, PreparedDataset]:
    """The dataset in buckets at every resolution the stages ask for; None is the dataset's own. Reads no picture."""
    resolutions = dict.fromkeys([None, *(stage.resolution for stage in request.stages)])
    return {resolution: _placed(request, at_resolution(request.dataset, resolution)) for resolution in resolutions}


def place_validation(request: TrainRequest) -> PreparedDataset | None:
    """The held-out images without draws, or None where there are none."""
    dataset = request.validation.dataset
    return None if dataset is None else _placed(request, dataset).still()


def _placed(request: TrainRequest, dataset: Dataset) -> PreparedDataset:
    return place_dataset(
        dataset,
        request.base.encode_images,
        request.base.family,
        encoder_id=request.encoder_key,
        cache_dir=request.cache_dir,
    )


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
        stages=tuple(_stage_key(plan, request.dataset) for plan in plans),
    )


def _stage_key(plan: StagePlan, dataset: Dataset) -> StageKey:
    length_free = replace(plan.stage, steps=1, epochs=1.0, optimizer=None)
    key = fingerprint(length_free, plan.optimizer)
    return StageKey(key, plan.steps, depends_on_length(plan.optimizer.schedule, dataset))


def depends_on_length(schedule: ScheduleSettings, dataset: Dataset) -> bool:
    """True where another number of steps would give other rates or captions from the start."""
    has_end = schedule.schedule not in ("constant", "inverse_sqrt")
    warmups = [schedule.warmup_steps, *(subset.captions.tag_warmup_steps for subset in dataset.subsets)]
    return has_end or any(0 < steps < 1 for steps in warmups)
