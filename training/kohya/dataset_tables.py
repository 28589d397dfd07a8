"""What sd-scripts' dataset options are called here, which belong to other nodes, and which have no equivalent."""

from collections.abc import Mapping

from . import tables
from .tables import Kind

CAPTION_OPTIONS: tuple[tuple[str, str, Kind], ...] = (
    ("shuffle_caption", "shuffle_tags", "flag"),
    ("caption_separator", "separator", "text"),
    ("keep_tokens", "keep_tags", "integer"),
    ("keep_tokens_separator", "keep_tags_separator", "text"),
    ("secondary_separator", "secondary_separator", "text"),
    ("enable_wildcard", "use_wildcards", "flag"),
    ("caption_prefix", "prefix", "text"),
    ("caption_suffix", "suffix", "text"),
    ("caption_dropout_rate", "caption_dropout", "number"),
    ("caption_dropout_every_n_epochs", "caption_dropout_every_n_epochs", "integer"),
    ("caption_tag_dropout_rate", "tag_dropout", "number"),
    ("token_warmup_min", "tag_warmup_min", "integer"),
    ("token_warmup_step", "tag_warmup_steps", "number"),
)
"""(name in sd-scripts, field of the caption settings, kind)."""
COMMAND_CAPTION_OPTIONS: tuple[tuple[str, str, Kind], ...] = (("weighted_captions", "caption_weights", "flag"),)
"""The same for options that sd-scripts takes on its command line only."""
BUCKET_OPTIONS: tuple[tuple[str, str, Kind], ...] = (
    ("bucket_reso_steps", "bucket_step", "integer"),
    ("random_crop", "random_crop", "flag"),
    ("flip_aug", "flip", "flag"),
    ("alpha_mask", "use_alpha_masks", "flag"),
)
"""The same for the bucket settings."""

ELSEWHERE: Mapping[str, str] = {
    "batch_size": "Train LoRA or Stage: batch_size",
    "train_batch_size": "Train LoRA or Stage: batch_size",
    "validation_split": "Train LoRA: validation_share",
    "validation_seed": "Train LoRA: seed",
    "cache_latents": "Resolution & Buckets: cache",
    "cache_latents_to_disk": "Resolution & Buckets: cache disk",
    "masked_loss": "masks count wherever a dataset has them; Loss & Noise: is_mask_area_normalized off, as sd-scripts",
}
"""Options of other nodes, or always on here."""
WITHOUT_EQUIVALENT: Mapping[str, str] = {
    "color_aug": tables.WITHOUT_EQUIVALENT["color_aug"],
    "face_crop_aug_range": tables.WITHOUT_EQUIVALENT["face_crop_aug_range"],
    "resize_interpolation": "bicubic when shrinking, Lanczos when enlarging",
    "cache_info": "images are looked at once each time, which takes little",
    "custom_attributes": "see prior_preservation of Loss & Noise",
    "network_multiplier": "without effect in sd-scripts too",
    "skip_image_resolution": "not offered; leave such images out of the folder",
}
"""Options that cannot or need not be set here, and why."""

COMMAND_OPTIONS = frozenset(
    {
        *(name for name, _, _ in (*CAPTION_OPTIONS, *COMMAND_CAPTION_OPTIONS, *BUCKET_OPTIONS)),
        *ELSEWHERE,
        *WITHOUT_EQUIVALENT,
        "train_data_dir", "reg_data_dir", "in_json", "dataset_repeats", "caption_extension", "conditioning_data_dir",
        "resolution", "enable_bucket", "min_bucket_reso", "max_bucket_reso", "bucket_no_upscale",
    }
)  # fmt: skip
"""Options of the command line that concern the dataset."""
