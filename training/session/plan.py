"""From a request to concrete stages, and to the key that identifies the run."""

from collections.abc import Set
from dataclasses import dataclass, replace

from ..data.dataset import Dataset, Subset, marked_for_validation, split, union, without
from ..data.prepare import place_dataset
from ..data.prepared import PreparedDataset
from ..loop.stages import PlannedStage, Stage, planned_stages, stage_steps
from ..networks.settings import NetworkSettings
from ..optimizers.schedules import ScheduleSettings
from ..run.identity import RunKey, Segment, fingerprint
from .request import TrainRequest


@dataclass(frozen=True, slots=True)
class PlacedData:
    """Every dataset of a run in buckets; equal datasets are one object."""

    stages: tuple[PreparedDataset, ...]
    """The data of each stage, at its resolution."""
    all: PreparedDataset
    """The images of all stages, at their datasets' own resolution, for measuring and describing the run."""


def stage_datasets(request: TrainRequest) -> list[Dataset]:
    """The dataset of each stage: its own, else the run's."""
    return [stage.dataset or request.dataset for stage in request.stages]


def trained_dataset(request: TrainRequest) -> Dataset:
    """All images that any stage trains."""
    return union(list({dataset.fingerprint(): dataset for dataset in stage_datasets(request)}.values()))


def hold_out(request: TrainRequest) -> TrainRequest:
    """Move the validation images out of the training images of every stage.

    Those are the images marked for validation plus a given validation set; the share applies only without either.

    Raises:
        ValueError: The share cannot be held out, or images of a given validation set are trained too.
    """
    settings = request.validation
    if settings.dataset is not None:
        settings = replace(settings, dataset=settings.dataset.as_validation())
    marked = marked_for_validation(stage_datasets(request))
    if marked is not None:
        request = _without(request, marked.pictures())  # the same picture may be in another folder, unmarked
        given = [] if settings.dataset is None else [settings.dataset]
        settings = replace(settings, dataset=union([*given, marked]))
    if settings.dataset is None and settings.share:
        _, held_out = split(trained_dataset(request), settings.share, request.seed)
        return replace(_without(request, held_out.pictures()), validation=replace(settings, dataset=held_out))
    if settings.dataset is not None:
        trained = trained_dataset(request).pictures()
        items = (item for subset in settings.dataset.subsets for item in subset.items)
        shared = [item.name for item in items if item.content_hash in trained]
        if shared:
            raise ValueError(
                f"validation_dataset must hold images that are not trained, got {len(shared)} that are "
                f"({', '.join(shared[:3])}); take them out of one of the two datasets"
            )
    return replace(request, validation=settings)


def _without(request: TrainRequest, pictures: Set[str]) -> TrainRequest:
    """The request without these pictures in any stage."""
    stages: list[Stage] = []
    for number, (stage, dataset) in enumerate(zip(request.stages, stage_datasets(request), strict=True), 1):
        left = without(dataset, pictures)
        if left is None:
            raise ValueError(
                f"a validation share of {request.validation.share} and the images marked for validation leave no image "
                f"to train in stage {number}; hold out fewer"
            )
        stages.append(replace(stage, dataset=left) if stage.dataset else stage)
    return replace(request, stages=tuple(stages), dataset=without(request.dataset, pictures) or request.dataset)


def place_data(request: TrainRequest) -> PlacedData:
    """Put every dataset into buckets, at every resolution that the stages use. Reads no picture."""
    placed: dict[tuple[str, int | None], PreparedDataset] = {}

    def at(dataset: Dataset, resolution: int | None) -> PreparedDataset:
        key = dataset.fingerprint(), resolution
        if key not in placed:
            placed[key] = _placed(request, at_resolution(dataset, resolution))
        return placed[key]

    wanted = zip(stage_datasets(request), request.stages, strict=True)
    stages = tuple(at(dataset, stage.resolution) for dataset, stage in wanted)
    return PlacedData(stages, at(trained_dataset(request), None))


def place_validation(request: TrainRequest) -> PreparedDataset | None:
    """The held-out images without random draws, or None if there are none."""
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
    """The dataset with buckets at another resolution; unchanged for None."""
    if resolution is None:
        return dataset
    return dataset.map(lambda subset: replace(subset, buckets=replace(subset.buckets, resolution=resolution)))


def stage_plans(request: TrainRequest, data: PlacedData) -> tuple[PlannedStage, ...]:
    """Every wanted stage with its number of steps and its optimizer."""
    steps = [
        stage_steps(stage, placed.num_batches(stage.batch_size))
        for stage, placed in zip(request.stages, data.stages, strict=True)
    ]
    return planned_stages(request.stages, request.optimizer, steps)


def _network_content(network: NetworkSettings) -> object:
    """The settings, and whether convolutions came in by rank or alpha, which earlier versions ignored."""
    return [network, network.preset] if network.is_widened else network


def run_key(request: TrainRequest, data: PlacedData) -> RunKey:
    """Everything that determines the weights, and nothing else."""
    of_run = request.dataset.fingerprint()
    stages = enumerate(zip(stage_plans(request, data), stage_datasets(request), strict=True))
    segments = tuple(_segment(index, planned, dataset, of_run) for index, (planned, dataset) in stages)
    return RunKey(
        base=fingerprint(
            request.base_key,
            request.encoder_key,
            _network_content(request.network),
            request.objective,
            request.seed,
            request.start.key if request.start else None,
        ),
        dataset="" if all(segment.dataset for segment in segments) else of_run,
        stages=segments,
    )


def as_counted_before(dataset: Dataset) -> Dataset:
    """The dataset with `nearest_bucket` where it has no effect, as runs were named by before it was left out there."""

    def counted(subset: Subset) -> Subset:
        return (
            replace(subset, buckets=replace(subset.buckets, nearest_bucket=True)) if subset.buckets.upscale else subset
        )

    return dataset.map(counted)


def earlier_key(request: TrainRequest, data: PlacedData) -> RunKey:
    """The key by which an earlier version may have recorded a run of the same weights."""
    stages = tuple(
        replace(stage, dataset=as_counted_before(stage.dataset)) if stage.dataset else stage for stage in request.stages
    )
    return run_key(replace(request, dataset=as_counted_before(request.dataset), stages=stages), data)


def _segment(index: int, planned: PlannedStage, dataset: Dataset, of_run: str) -> Segment:
    length_free = replace(planned.stage, steps=1, epochs=1.0, optimizer=None, dataset=None)
    own = dataset.fingerprint() if planned.stage.dataset else ""
    own = "" if own == of_run else own
    key = fingerprint(length_free, planned.optimizer, *([own] if own else []))
    return Segment(index, key, planned.steps, own, depends_on_length(planned.optimizer.schedule, dataset))


def depends_on_length(schedule: ScheduleSettings, dataset: Dataset) -> bool:
    """True if another number of steps would give other learning rates or captions from the start."""
    has_end = schedule.schedule not in ("constant", "inverse_sqrt")
    warmups = [schedule.warmup_steps, *(subset.captions.tag_warmup_steps for subset in dataset.subsets)]
    return has_end or any(0 < steps < 1 for steps in warmups)
