"""A LoRA file's metadata in words: base model, dataset, tags, settings, author and program."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, cast

from ..files.json_files import read_json

_TAGS_SHOWN = 20

_LABELS = {
    "modelspec.title": "title",
    "modelspec.author": "author",
    "modelspec.date": "date",
    "modelspec.description": "description",
    "modelspec.trigger_phrase": "trigger phrase",
    "modelspec.usage_hint": "usage",
    "modelspec.merged_from": "merged from",
    "modelspec.license": "license",
    "ss_sd_model_name": "base model",
    "ss_base_model_version": "base version",
    "modelspec.prediction_type": "prediction type",
    "ss_resolution": "resolution",
    "ss_clip_skip": "clip skip",
    "ss_num_train_images": "images x repeats",
    "ss_num_reg_images": "regularization images",
    "ss_network_module": "network module",
    "ss_network_args": "network arguments",
    "ss_steps": "steps",
    "ss_epoch": "epoch",
    "ss_learning_rate": "learning rate",
    "ss_unet_lr": "U-Net rate",
    "ss_text_encoder_lr": "text-encoder rate",
    "ss_optimizer": "optimizer",
    "ss_lr_scheduler": "schedule",
    "ss_min_snr_gamma": "min-SNR gamma",
    "ss_noise_offset": "noise offset",
    "ss_seed": "seed",
    "bakery.fingerprint": "fingerprint",
    "ss_training_comment": "comment",
}
_NOTHING = ("", "None", "{}", "[]", "0")


def metadata_lines(metadata: Mapping[str, str]) -> list[str]:
    """One line for each known entry with a value, then the dataset's folders and most frequent tags."""
    lines = [f"{label}: {metadata[key]}" for key, label in _LABELS.items() if metadata.get(key, "") not in _NOTHING]
    for name, entry in _json(metadata.get("ss_dataset_dirs", "")).items():
        counts = cast(dict[str, Any], entry) if isinstance(entry, dict) else {}
        lines.append(f"folder: {name}, {counts.get('img_count', '?')} images x {counts.get('n_repeats', '?')}")
    tags = tag_counts(metadata)
    if tags:
        lines.append("tags: " + ", ".join(f"{tag} ({count})" for tag, count in tags.most_common(_TAGS_SHOWN)))
    return lines


def tag_counts(metadata: Mapping[str, str]) -> Counter[str]:
    """How often each tag was in the captions, over all folders; empty if the file does not say."""
    totals: Counter[str] = Counter()
    for tags in _json(metadata.get("ss_tag_frequency", "")).values():
        if isinstance(tags, dict):
            counts = cast(dict[str, Any], tags)
            totals.update({tag.strip(): int(count) for tag, count in counts.items() if str(count).isdigit()})
    return totals


def _json(text: str) -> dict[str, Any]:
    """A JSON object; empty for anything else, since other tools' files may contain anything."""
    try:
        value = read_json(text)
    except ValueError:
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
