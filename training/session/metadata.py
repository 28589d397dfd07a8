"""What a run says of itself in the metadata of its LoRA files."""

import math
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone

from ..data.dataset import Subset
from ..files.facts import DatasetFacts, NetworkFacts, SubsetFacts, TrainingFacts
from ..loop.batches import epoch_at
from ..loop.job import TrainState
from ..networks.algorithms import find_algorithm
from ..networks.facts import named, network_facts
from ..networks.settings import WITH_KERNELS
from ..objective.settings import ObjectiveSettings
from ..optimizers.schedules import length_in_steps
from ..optimizers.settings import OptimizerSettings
from .plan import trained_dataset
from .request import Session


def facts_of_network(session: Session) -> NetworkFacts:
    """Form of the network: as it was asked for, or, where a LoRA is trained on, as that has it."""
    if session.request.start is not None:
        return network_facts(session.job.network.state_dict())
    settings = session.request.network
    arguments: dict[str, str | int | float | bool | None] = {}
    if find_algorithm(settings.algorithm).adapts_kernels and settings.preset in WITH_KERNELS:
        arguments = {
            "conv_dim": settings.conv_size[0],
            "conv_alpha": settings.conv_size[1],
        }
    if settings.algorithm == "lokr":
        arguments["factor"] = settings.factor
    if settings.weight_decompose:
        arguments["dora_wd"] = True
    algorithm, module = named(find_algorithm(settings.algorithm), has_dora=settings.weight_decompose)
    return NetworkFacts(
        algorithm=algorithm,
        module=module,
        rank=settings.rank,
        alpha=settings.alpha or settings.rank,
        arguments=arguments,
        dropout=settings.dropout or None,
    )


def training_facts(session: Session, state: TrainState) -> TrainingFacts:
    """How far and by which settings; of several stages, the first one's."""
    plan = session.job.stages[0]
    batches = session.job.data[0].num_batches(plan.stage.batch_size)
    steps_per_epoch = max(1, math.ceil(batches / plan.stage.grad_accumulation_steps))
    optimizer = plan.optimizer
    return TrainingFacts(
        session_id=session.found.folder.run_id,
        fingerprint=replace(session.found.record, rate_changes=state.rate_changes).fingerprint(state.step),
        started_at=session.started_at,
        finished_at=datetime.now(timezone.utc),
        seed=session.request.seed,
        step=state.step,
        max_steps=session.job.total_steps,
        epoch=epoch_at(session.job, state.step),
        num_epochs=math.ceil(session.job.total_steps / steps_per_epoch),
        batches_per_epoch=batches,
        batch_size=plan.stage.batch_size,
        grad_accumulation_steps=plan.stage.grad_accumulation_steps,
        learning_rate=optimizer.learning_rate,
        unet_lr=optimizer.unet_lr,
        text_encoder_lr=optimizer.text_encoder_lr,
        optimizer=_optimizer_text(optimizer),
        lr_scheduler=optimizer.schedule.schedule,
        warmup_steps=length_in_steps(optimizer.schedule.warmup_steps, plan.steps),
        max_grad_norm=optimizer.max_grad_norm,
        options=_options(session.request.objective),
    )


def dataset_facts(session: Session) -> DatasetFacts:
    """Images, repeats, buckets and tags; folders by name only."""
    buckets = session.data.bucket_counts()
    largest = max(buckets, key=lambda size: size[0] * size[1])
    subsets = trained_dataset(session.request).subsets
    return DatasetFacts(subsets=tuple(_subset_facts(subset) for subset in subsets), resolution=largest, buckets=buckets)


def _subset_facts(subset: Subset) -> SubsetFacts:
    tags = Counter(
        tag.strip() for item in subset.items for tag in (item.captions or ("",))[0].split(",") if tag.strip()
    )
    return SubsetFacts(
        name=subset.name,
        num_images=len(subset.items),
        repeats=subset.repeats,
        is_regularization=subset.is_regularization,
        tag_frequency=dict(tags.most_common()),
        shuffle_tags=subset.captions.shuffle_tags,
        keep_tags=subset.captions.keep_tags,
        flip=subset.buckets.flip,
        random_crop=subset.buckets.random_crop,
    )


def _optimizer_text(settings: OptimizerSettings) -> str:
    arguments = ",".join([f"weight_decay={settings.weight_decay}", *settings.arguments.split()])
    return f"{settings.optimizer}({arguments})"


def _options(objective: ObjectiveSettings) -> dict[str, str | int | float | bool | None]:
    return {
        "min_snr_gamma": objective.min_snr_gamma,
        "noise_offset": objective.noise_offset or None,
        "multires_noise_iterations": objective.multires_noise_iterations or None,
        "multires_noise_discount": objective.multires_noise_discount,
        "ip_noise_gamma": objective.input_perturbation or None,
        "debiased_estimation": objective.debiased_estimation,
        "scale_weight_norms": objective.scale_weight_norms or None,
        "loss_type": objective.loss_type,
        "prior_loss_weight": objective.prior_loss_weight,
        "cache_latents": True,
        "mixed_precision": "no",
    }
