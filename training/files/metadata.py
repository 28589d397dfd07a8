"""Turns facts into metadata: the `ss_`, `modelspec.` and graph entries of a LoRA file, all strings.

Names and formats are those of sd-scripts and of the Stability model metadata standard
(https://github.com/Stability-AI/ModelSpec), so that other tools show them. Unknown facts are not written.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast

from .dataset_metadata import as_json, dataset_entries
from .facts import (
    LYCORIS_MODULE,
    DatasetFacts,
    Description,
    GraphFacts,
    ModelFacts,
    NetworkFacts,
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
        entries[SETTINGS_KEY] = as_json(training.settings)
        entries["modelspec.date"] = training.finished_at.astimezone().isoformat(timespec="seconds")
    if dataset is not None:
        entries |= dataset_entries(dataset, training)
        entries["modelspec.resolution"] = "{}x{}".format(*dataset.resolution)
    return entries | (graph_entries(graph) if graph is not None else {})


def graph_entries(graph: GraphFacts) -> Entries:
    """`workflow` and `prompt` as JSON, where ComfyUI's canvas looks for them."""
    values = {"workflow": graph.workflow, "prompt": graph.prompt}
    return {key: as_json(_finite(value)) for key, value in values.items() if value is not None}


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
        entries["ss_network_args"] = as_json({key: str(value) for key, value in arguments.items()})
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


def _known(values: Mapping[str, object]) -> Entries:
    return {key: str(value) for key, value in values.items() if value is not None}
