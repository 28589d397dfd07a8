"""Turns facts into metadata: the `ss_`, `modelspec.` and graph entries of a LoRA file, all strings.

Names and formats are those of sd-scripts and of the Stability model metadata standard
(https://github.com/Stability-AI/ModelSpec), so that other tools show them. Unknown facts are not written.
"""

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from .facts import (
    LYCORIS_MODULE,
    DatasetFacts,
    Description,
    GraphFacts,
    ModelFacts,
    NetworkFacts,
    SubsetFacts,
    TrainingFacts,
)

_ARCHITECTURES = {"sd15": "stable-diffusion-v1/lora", "sdxl": "stable-diffusion-xl-v1-base/lora"}
_IMPLEMENTATIONS = {"sd15": "diffusers", "sdxl": "https://github.com/Stability-AI/generative-models"}
_DEFAULT_RESOLUTIONS = {"sd15": (512, 512), "sdxl": (1024, 1024)}

FINGERPRINT_KEY = "bakery.fingerprint"
"""Digest of everything that determined a file's weights."""
SETTINGS_KEY = "bakery.settings"
"""All settings that differ from the defaults, JSON: network, objective, stages, subsets."""
TRIGGER_PHRASE = "modelspec.trigger_phrase"
"""The words to prompt the subject with, separated by commas."""
SAMPLES = "bakery.samples"
"""Small pictures with their prompts, JSON; only in files made to be shared."""

Entries = dict[str, str]


def build_metadata(
    model: ModelFacts,
    network: NetworkFacts,
    description: Description,
    training: TrainingFacts | None = None,
    dataset: DatasetFacts | None = None,
    graph: GraphFacts | None = None,
) -> Entries:
    """All metadata of a LoRA file except the hashes, which `save_lora` adds."""
    entries = _model_entries(model) | _network_entries(network) | _modelspec_entries(model, description)
    if description.comment is not None:
        entries["ss_training_comment"] = description.comment
    if training is not None:
        entries |= _training_entries(training) | {"ss_output_name": description.title}
        entries[FINGERPRINT_KEY] = training.fingerprint
        entries[SETTINGS_KEY] = _json(training.settings)
        entries["modelspec.date"] = training.finished_at.astimezone().isoformat(timespec="seconds")
    if dataset is not None:
        entries |= _dataset_entries(dataset, training)
        entries["modelspec.resolution"] = "{}x{}".format(*dataset.resolution)
    return entries | (graph_entries(graph) if graph is not None else {})


def graph_entries(graph: GraphFacts) -> Entries:
    """`workflow` and `prompt` as JSON, where ComfyUI's canvas looks for them."""
    values = {"workflow": graph.workflow, "prompt": graph.prompt}
    return {key: _json(_finite(value)) for key, value in values.items() if value is not None}


def _finite(value: object) -> object:
    """Replace NaN and infinities by null, since browsers cannot parse them (the host writes NaN for "always run")."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in cast(Mapping[str, object], value).items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in cast(Sequence[object], value)]
    return value


def _model_entries(model: ModelFacts) -> Entries:
    version = "sdxl_base_v1-0" if model.family == "sdxl" else "sd_v1"
    if model.family == "sd15" and model.prediction_type == "v_prediction":
        version += "_v"
    known = {
        "ss_sd_model_name": model.name,
        "ss_sd_model_hash": model.legacy_hash,
        "ss_new_sd_model_hash": model.sha256,
        "ss_vae_name": model.vae_name,
        "ss_clip_skip": model.clip_skip,
        "ss_mixed_precision": model.precision,
        "ss_zero_terminal_snr": model.zero_terminal_snr,
    }
    return _known(known) | {
        "ss_v2": "False",
        "ss_base_model_version": version,
    }


def _network_entries(network: NetworkFacts) -> Entries:
    arguments = dict(network.arguments) | ({"algo": network.algorithm} if network.module == LYCORIS_MODULE else {})
    entries = {
        "ss_network_module": network.module,
        "ss_network_dim": str(network.rank),
        "ss_network_alpha": str(network.alpha),
        "ss_network_dropout": str(network.dropout),
    }
    if arguments:
        entries["ss_network_args"] = _json({key: str(value) for key, value in arguments.items()})
    return entries


def _modelspec_entries(model: ModelFacts, description: Description) -> Entries:
    fixed = {
        "sai_model_spec": "1.0.1",
        "architecture": _ARCHITECTURES[model.family],
        "implementation": _IMPLEMENTATIONS[model.family],
        "resolution": "{}x{}".format(*_DEFAULT_RESOLUTIONS[model.family]),
        "date": datetime.now().astimezone().isoformat(timespec="seconds"),
        "prediction_type": {"v_prediction": "v", "epsilon": "epsilon"}.get(model.prediction_type or ""),
        "encoder_layer": model.clip_skip,
    }
    spoken = {
        "title": description.title,
        "author": description.author,
        "description": description.description,
        "license": description.license,
        "tags": description.tags,
        "trigger_phrase": description.trigger_phrase,
        "usage_hint": description.usage_hint,
        "merged_from": description.merged_from,
        "timestep_range": None if description.timestep_range is None else "{},{}".format(*description.timestep_range),
        "thumbnail": description.thumbnail,
    }
    return {f"modelspec.{key}": text for key, text in _known(fixed | spoken).items()}


def _training_entries(training: TrainingFacts) -> Entries:
    values: dict[str, object] = {
        "session_id": training.session_id,
        "training_started_at": training.started_at.timestamp(),
        "training_finished_at": training.finished_at.timestamp(),
        "seed": training.seed,
        "steps": training.step,
        "max_train_steps": training.max_steps,
        "epoch": training.epoch,
        "num_epochs": training.num_epochs,
        "num_batches_per_epoch": training.batches_per_epoch,
        "batch_size_per_device": math.ceil(training.batch_size / training.num_devices),
        "total_batch_size": training.batch_size,
        "gradient_accumulation_steps": training.grad_accumulation_steps,
        "learning_rate": training.learning_rate,
        "unet_lr": training.unet_lr,
        "text_encoder_lr": _text_rates(training),
        "optimizer": training.optimizer,
        "lr_scheduler": training.lr_scheduler,
        "lr_warmup_steps": training.warmup_steps,
        "max_grad_norm": training.max_grad_norm,
    }
    return {f"ss_{key}": str(value) for key, value in (values | dict(training.options)).items()}


def _text_rates(training: TrainingFacts) -> object:
    """A list, as sd-scripts takes it, where SDXL's encoders have rates of their own."""
    first, second = training.text_encoder_lr, training.text_encoder_2_lr
    return first if second is None else [training.learning_rate if first is None else first, second]


def _dataset_entries(dataset: DatasetFacts, training: TrainingFacts | None) -> Entries:
    trained = [subset for subset in dataset.subsets if not subset.is_regularization]
    regular = [subset for subset in dataset.subsets if subset.is_regularization]
    sizes = (dataset.resolution, *dataset.more_resolutions)
    values: dict[str, object] = {
        "num_train_images": _count(trained),
        "num_reg_images": _count(regular),
        "num_validation_images": dataset.num_validation_images,
        "resolution": "({}, {})".format(*dataset.resolution),
        "enable_bucket": True,
        "bucket_no_upscale": not dataset.upscale,
        "min_bucket_reso": dataset.min_bucket_size,
        "max_bucket_reso": dataset.max_bucket_size,
        "bucket_info": _json(_bucket_info(dataset)),
        "tag_frequency": _json(_tag_frequency(dataset.subsets)),
        "dataset_dirs": _json(_folders(trained)),
        "reg_dataset_dirs": _json(_folders(regular)),
        "shuffle_caption": any(subset.shuffle_tags for subset in trained),
        "keep_tokens": max((subset.keep_tags for subset in trained), default=0),
        "flip_aug": any(subset.flip for subset in trained),
        "random_crop": any(subset.random_crop for subset in trained),
        "color_aug": False,
        "datasets": _json([_dataset_entry(dataset, training, size) for size in sizes]),
        "caption_dropout_rate": max((subset.caption_dropout for subset in trained), default=0.0),
        "caption_dropout_every_n_epochs": max((s.caption_dropout_every_n_epochs for s in trained), default=0),
        "caption_tag_dropout_rate": max((subset.tag_dropout for subset in trained), default=0.0),
        "cache_latents": not any(subset.random_crop for subset in dataset.subsets),
    }
    return {f"ss_{key}": str(value) for key, value in values.items()}


def _dataset_entry(
    dataset: DatasetFacts, training: TrainingFacts | None, resolution: tuple[int, int]
) -> dict[str, object]:
    return {
        "is_dreambooth": True,
        "batch_size_per_device": None if training is None else math.ceil(training.batch_size / training.num_devices),
        "num_train_images": _count([subset for subset in dataset.subsets if not subset.is_regularization]),
        "num_reg_images": _count([subset for subset in dataset.subsets if subset.is_regularization]),
        "resolution": list(resolution),
        "enable_bucket": True,
        "min_bucket_reso": dataset.min_bucket_size,
        "max_bucket_reso": dataset.max_bucket_size,
        "subsets": [_subset_entry(subset) for subset in dataset.subsets],
    }


def _subset_entry(subset: SubsetFacts) -> dict[str, object]:
    return {
        "img_count": subset.num_images,
        "num_repeats": subset.repeats,
        "color_aug": False,
        "flip_aug": subset.flip,
        "random_crop": subset.random_crop,
        "shuffle_caption": subset.shuffle_tags,
        "keep_tokens": subset.keep_tags,
        "keep_tokens_separator": subset.keep_tags_separator or None,
        "secondary_separator": subset.secondary_separator or None,
        "enable_wildcard": subset.use_wildcards,
        "caption_prefix": subset.prefix or None,
        "caption_suffix": subset.suffix or None,
        "image_dir": subset.name,
        "class_tokens": subset.class_tokens,
        "is_reg": subset.is_regularization,
    }


def _bucket_info(dataset: DatasetFacts) -> dict[str, object]:
    buckets = {str(i): {"resolution": list(size), "count": n} for i, (size, n) in enumerate(dataset.buckets.items())}
    return {"buckets": buckets}


def _tag_frequency(subsets: Sequence[SubsetFacts]) -> dict[str, dict[str, int]]:
    totals: dict[str, Counter[str]] = {}
    for name, subset in _by_name(subsets).items():
        lowered = totals.setdefault(name, Counter())
        for tag, count in subset.tag_frequency.items():
            lowered[tag.lower()] += count
    return {name: dict(counts.most_common()) for name, counts in totals.items()}


def _by_name(subsets: Sequence[SubsetFacts]) -> dict[str, SubsetFacts]:
    """Folders of one name in different places get a number, so that none stands for the other."""
    named: dict[str, SubsetFacts] = {}
    for subset in subsets:
        name, number = subset.name, 2
        while name in named:
            name, number = f"{subset.name} ({number})", number + 1
        named[name] = subset
    return named


def _folders(subsets: Sequence[SubsetFacts]) -> dict[str, dict[str, int]]:
    return {name: {"n_repeats": one.repeats, "img_count": one.num_images} for name, one in _by_name(subsets).items()}


def _count(subsets: list[SubsetFacts]) -> int:
    return sum(subset.num_images * subset.repeats for subset in subsets)


def _known(values: Mapping[str, object]) -> Entries:
    return {key: str(value) for key, value in values.items() if value is not None}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
