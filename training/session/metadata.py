"""Facts about a run for the metadata of its LoRA files."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime, timezone

from ..data.buckets import BucketSettings, side_limits, trained_resolution
from ..data.dataset import Subset
from ..data.findings import trained_tags
from ..data.prepare import grids_of
from ..files.facts import DatasetFacts, NetworkFacts, SubsetFacts, TrainingFacts, Value
from ..loop.batches import epoch_at
from ..loop.job import TrainState
from ..networks.algorithms import find_algorithm
from ..networks.facts import named, network_facts
from ..networks.lycoris_arguments import parsed
from ..networks.settings import WITH_KERNELS, NetworkSettings
from ..objective.settings import ObjectiveSettings
from ..optimizers.schedules import length_in_steps
from ..optimizers.settings import OptimizerSettings
from .plan import trained_dataset
from .request import Session
from .settings_told import settings_told
from .trigger import triggers_of

NUM_TIMESTEPS = 1000
_ALWAYS_TOLD = (
    "min_snr_gamma", "noise_offset", "multires_noise_iterations", "input_perturbation", "debiased_estimation",
    "scale_weight_norms", "loss_type", "prior_loss_weight",
)  # fmt: skip
_OFF_AT_ZERO = ("noise_offset", "multires_noise_iterations", "input_perturbation", "scale_weight_norms")
_TOLD_ELSEWHERE = ("min_timestep", "max_timestep")
_SD_SCRIPTS_NAMES = {
    "input_perturbation": "ip_noise_gamma",
    "input_perturbation_random": "ip_noise_gamma_random_strength",
    "noise_offset_random": "noise_offset_random_strength",
}


_LYCORIS_NAMES = {
    "weight_decompose": "dora_wd", "rank_stabilized": "rs_lora", "full_matrix": "full_matrix",
    "decompose_both": "decompose_both", "train_norms": "train_norm",
}  # fmt: skip


def facts_of_network(session: Session) -> NetworkFacts:
    """Form of the network as requested, or that of the LoRA it continues."""
    settings = session.request.network
    if session.request.start is not None:
        facts = network_facts(session.job.network.state_dict())
        return replace(facts, dropout=settings.dropout or None, arguments={**facts.arguments, **_dropouts(settings)})
    arguments: dict[str, Value] = {}
    if find_algorithm(settings.algorithm).adapts_kernels and settings.preset in WITH_KERNELS:
        arguments = {
            "conv_dim": settings.conv_size[0],
            "conv_alpha": settings.conv_size[1],
        }
    if settings.algorithm == "lokr":
        arguments["factor"] = settings.factor
    arguments |= {name: True for option, name in _LYCORIS_NAMES.items() if getattr(settings, option)}
    if settings.algorithm == "dylora":
        arguments["block_size"] = settings.block_size
    arguments |= _dropouts(settings)
    algorithm, module = named(find_algorithm(settings.algorithm), has_dora=settings.weight_decompose)
    if settings.algorithm == "lycoris":
        library = parsed(settings.lycoris_arguments)
        algorithm, arguments = library.algo, {**arguments, **library.options}
    return NetworkFacts(
        algorithm=algorithm,
        module=module,
        rank=settings.rank,
        alpha=settings.alpha or settings.rank,
        arguments=arguments,
        dropout=settings.dropout or None,
    )


def training_facts(session: Session, state: TrainState) -> TrainingFacts:
    """Steps trained and the settings; with several stages, the first one's."""
    plan = session.job.stages[0]
    batches = session.job.data[0].num_batches(plan.stage.batch_size)
    optimizer = plan.optimizer
    return TrainingFacts(
        session_id=session.found.folder.run_id,
        fingerprint=replace(session.found.record, rate_changes=state.rate_changes).fingerprint(state.step),
        started_at=session.started_at,
        finished_at=datetime.now(timezone.utc),
        seed=session.request.seed,
        step=state.step,
        max_steps=session.job.total_steps,
        epoch=epoch_at(session.job, state.step) + 1 if state.step else 0,
        num_epochs=epoch_at(session.job, session.job.total_steps) + 1,
        batches_per_epoch=batches,
        batch_size=plan.stage.batch_size,
        num_devices=session.job.ranks.size,
        grad_accumulation_steps=plan.stage.grad_accumulation_steps,
        learning_rate=optimizer.learning_rate,
        unet_lr=optimizer.unet_lr,
        text_encoder_lr=optimizer.text_encoder_lr,
        text_encoder_2_lr=optimizer.text_encoder_2_lr,
        optimizer=_optimizer_text(optimizer),
        lr_scheduler=optimizer.schedule.schedule,
        warmup_steps=length_in_steps(optimizer.schedule.warmup_steps, plan.steps),
        max_grad_norm=optimizer.max_grad_norm,
        options={
            **_options(session.request.objective),
            "gradient_checkpointing": session.request.base.gradient_checkpointing != "off",
        },
        settings=settings_told(session),
    )


def trigger_phrase(session: Session) -> str | None:
    """The trigger words of all images, or None."""
    return ", ".join(triggers_of(trained_dataset(session.request))) or None


def timestep_range(session: Session) -> tuple[int, int] | None:
    """First and last timestep trained; None for all."""
    first, end = session.request.objective.min_timestep, session.request.objective.max_timestep
    return None if (first, end) == (0, NUM_TIMESTEPS) else (first, end)


def dataset_facts(session: Session) -> DatasetFacts:
    """Images, repeats, buckets and tags; folders by name only. Images at several resolutions count once."""
    request = session.request
    dataset = trained_dataset(request)
    grids = grids_of(dataset, request.base.family)
    sizes = list(dict.fromkeys(trained_resolution(settings, grid) for settings, grid in grids.items()))
    low, high = side_limits(next(iter(grids)), sizes[0])
    held_out = request.validation.dataset
    return DatasetFacts(
        subsets=tuple(_subset_facts(subset) for subset in _once(dataset.subsets)),
        resolution=sizes[0],
        more_resolutions=tuple(sizes[1:]),
        buckets=session.data.bucket_counts(),
        min_bucket_size=low,
        max_bucket_size=high,
        upscale=all(settings.upscale for settings in grids),
        num_validation_images=0 if held_out is None else held_out.num_images,
    )


def _once(subsets: Sequence[Subset]) -> list[Subset]:
    """The subsets without those that repeat another one at a further resolution."""
    return list({replace(subset, buckets=BucketSettings()): subset for subset in reversed(subsets)}.values())[::-1]


def _subset_facts(subset: Subset) -> SubsetFacts:
    captions = subset.captions
    tags = Counter(tag for item in subset.items for tag in trained_tags(item, captions))
    return SubsetFacts(
        name=subset.name,
        num_images=len(subset.items),
        repeats=subset.repeats,
        is_regularization=subset.is_regularization,
        tag_frequency=dict(tags.most_common()),
        shuffle_tags=captions.shuffle_tags,
        keep_tags=captions.keep_tags,
        flip=subset.buckets.flip,
        random_crop=subset.buckets.random_crop,
        use_wildcards=captions.use_wildcards,
        prefix=captions.prefix,
        suffix=captions.suffix,
        keep_tags_separator=captions.keep_tags_separator,
        secondary_separator=captions.secondary_separator,
        caption_dropout=captions.caption_dropout,
        caption_dropout_every_n_epochs=captions.caption_dropout_every_n_epochs,
        tag_dropout=captions.tag_dropout,
    )


def _optimizer_text(settings: OptimizerSettings) -> str:
    arguments = ",".join([f"weight_decay={settings.weight_decay}", *settings.arguments.split()])
    return f"{settings.optimizer}({arguments})"


def _options(objective: ObjectiveSettings) -> dict[str, str | int | float | bool | None]:
    """The settings that shape the loss, under sd-scripts' names if it has one; None for what is off."""
    usual = ObjectiveSettings()
    wanted = {*_ALWAYS_TOLD, *(one.name for one in fields(objective) if one.name not in _TOLD_ELSEWHERE)}
    told = {name: getattr(objective, name) for name in sorted(wanted)}
    told = {name: value for name, value in told.items() if name in _ALWAYS_TOLD or value != getattr(usual, name)}
    if objective.multires_noise_iterations:
        told["multires_noise_discount"] = objective.multires_noise_discount
    if objective.loss_type in ("huber", "smooth_l1"):
        told |= {name: getattr(objective, name) for name in ("huber_schedule", "huber_c", "huber_scale")}
    by_name = {_SD_SCRIPTS_NAMES.get(name, name): value for name, value in told.items()}
    off = {_SD_SCRIPTS_NAMES.get(name, name): None for name in _OFF_AT_ZERO if not told.get(name)}
    return by_name | off


def _dropouts(settings: NetworkSettings) -> dict[str, Value]:
    """Those that sd-scripts takes with the arguments of the network."""
    given = {"rank_dropout": settings.rank_dropout, "module_dropout": settings.module_dropout}
    return {name: value for name, value in given.items() if value}
