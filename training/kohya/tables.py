"""What sd-scripts' options are called here, which belong to other nodes, and which have no equivalent."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..networks.algorithms import ALGORITHMS
from ..optimizers.schedules import ScheduleName

Owner = Literal["network", "optimizer", "schedule", "objective", "stage"]
Kind = Literal["integer", "number", "flag", "text"]


@dataclass(frozen=True, slots=True)
class Option:
    """An option that means the same here and in sd-scripts."""

    name: str
    """Name in sd-scripts."""
    owner: Owner
    """Settings class that has it here."""
    field: str
    """Field of that class."""
    kind: Kind


OPTIONS: tuple[Option, ...] = (
    Option("network_dropout", "network", "dropout", "number"),
    Option("learning_rate", "optimizer", "learning_rate", "number"),
    Option("unet_lr", "optimizer", "unet_lr", "number"),
    Option("text_encoder_lr", "optimizer", "text_encoder_lr", "number"),
    Option("max_grad_norm", "optimizer", "max_grad_norm", "number"),
    Option("lr_scheduler_num_cycles", "schedule", "cycles", "integer"),
    Option("lr_scheduler_power", "schedule", "power", "number"),
    Option("lr_scheduler_timescale", "schedule", "timescale", "number"),
    Option("lr_scheduler_min_lr_ratio", "schedule", "min_ratio", "number"),
    Option("loss_type", "objective", "loss_type", "text"),
    Option("huber_schedule", "objective", "huber_schedule", "text"),
    Option("huber_c", "objective", "huber_c", "number"),
    Option("huber_scale", "objective", "huber_scale", "number"),
    Option("min_snr_gamma", "objective", "min_snr_gamma", "number"),
    Option("debiased_estimation_loss", "objective", "debiased_estimation", "flag"),
    Option(
        "scale_v_pred_loss_like_noise_pred", "objective", "scale_v_pred_loss_like_noise_pred", "flag"
    ),
    Option("v_pred_like_loss", "objective", "v_pred_like_loss", "number"),
    Option("noise_offset", "objective", "noise_offset", "number"),
    Option("noise_offset_random_strength", "objective", "noise_offset_random", "flag"),
    Option("adaptive_noise_scale", "objective", "adaptive_noise_scale", "number"),
    Option("multires_noise_iterations", "objective", "multires_noise_iterations", "integer"),
    Option("multires_noise_discount", "objective", "multires_noise_discount", "number"),
    Option("ip_noise_gamma", "objective", "input_perturbation", "number"),
    Option("ip_noise_gamma_random_strength", "objective", "input_perturbation_random", "flag"),
    Option("min_timestep", "objective", "min_timestep", "integer"),
    Option("max_timestep", "objective", "max_timestep", "integer"),
    Option("zero_terminal_snr", "objective", "zero_terminal_snr", "flag"),
    Option("scale_weight_norms", "objective", "scale_weight_norms", "number"),
    Option("prior_loss_weight", "objective", "prior_loss_weight", "number"),
    Option("train_batch_size", "stage", "batch_size", "integer"),
    Option("gradient_accumulation_steps", "stage", "grad_accumulation_steps", "integer"),
)  # fmt: skip
"""Options that only have another name here."""

NETWORK_ARGS: tuple[Option, ...] = (
    Option("dropout", "network", "dropout", "number"),
    Option("rank_dropout", "network", "rank_dropout", "number"),
    Option("module_dropout", "network", "module_dropout", "number"),
    Option("factor", "network", "factor", "integer"),
    Option("full_matrix", "network", "full_matrix", "flag"),
    Option("decompose_both", "network", "decompose_both", "flag"),
    Option("dora_wd", "network", "weight_decompose", "flag"),
    Option("rs_lora", "network", "rank_stabilized", "flag"),
    Option("train_norm", "network", "train_norms", "flag"),
)
"""The same within network_args."""
BLOCK_ARGS: Mapping[str, str] = {
    "down_lr_weight": "down",
    "mid_lr_weight": "mid",
    "up_lr_weight": "up",
    "block_dims": "ranks",
    "conv_block_dims": "conv_ranks",
}
"""network_args for block weights, and their fields here."""

LYCORIS: Mapping[str, str] = {
    "lora": "locon",
    **{algorithm.lycoris: algorithm.name for algorithm in ALGORITHMS if algorithm.lycoris},
}
"""LyCORIS's `algo`; its lora adapts convolutions, which is locon here."""
SCHEDULES: Mapping[str, ScheduleName] = {
    "constant": "constant",
    "constant_with_warmup": "constant",
    "linear": "linear",
    "cosine": "cosine",
    "cosine_with_restarts": "cosine_with_restarts",
    "cosine_with_min_lr": "cosine",
    "polynomial": "polynomial",
    "inverse_sqrt": "inverse_sqrt",
    "warmup_stable_decay": "warmup_stable_decay",
}
"""lr_scheduler."""

_LOADER = "Load Dataset"
_MEMORY = "ComfyUI looks after memory and attention itself; start it with its own options"
ELSEWHERE: Mapping[str, str] = {
    "pretrained_model_name_or_path": "Load Checkpoint: ckpt_name",
    "vae": "Load VAE",
    "train_data_dir": f"Import Kohya Setup gives it as dataset, or {_LOADER}: folder",
    "in_json": f"{_LOADER}: metadata",
    "reg_data_dir": f"{_LOADER} with is_regularization, joined by Combine Datasets",
    "dataset_config": "paste what the file holds into dataset_config of Import Kohya Setup",
    "datasets": "paste them into dataset_config of Import Kohya Setup",
    "general": "paste it into dataset_config of Import Kohya Setup",
    "dataset_repeats": f"{_LOADER}: repeats",
    "caption_extension": f"{_LOADER}: caption_extension",
    "conditioning_data_dir": f"{_LOADER}: mask_folder",
    "resolution": "Resolution & Buckets: resolution",
    "enable_bucket": "buckets are always on",
    "min_bucket_reso": "Resolution & Buckets: min_bucket_size",
    "max_bucket_reso": "Resolution & Buckets: max_bucket_size",
    "bucket_reso_steps": "Resolution & Buckets: bucket_step",
    "bucket_no_upscale": "Resolution & Buckets: upscale off",
    "random_crop": "Resolution & Buckets: random_crop",
    "flip_aug": "Resolution & Buckets: flip",
    "alpha_mask": "Resolution & Buckets: use_alpha_masks",
    "masked_loss": "always on where a dataset has masks",
    "cache_latents": "Resolution & Buckets: cache",
    "cache_latents_to_disk": "Resolution & Buckets: cache disk",
    "shuffle_caption": "Captions: shuffle_tags",
    "caption_separator": "Captions: separator",
    "keep_tokens": "Captions: keep_tags",
    "keep_tokens_separator": "Captions: keep_tags_separator",
    "secondary_separator": "Captions: secondary_separator",
    "enable_wildcard": "Captions: use_wildcards",
    "caption_prefix": "Captions: prefix",
    "caption_suffix": "Captions: suffix",
    "caption_dropout_rate": "Captions: caption_dropout",
    "caption_dropout_every_n_epochs": "Captions: caption_dropout_every_n_epochs",
    "caption_tag_dropout_rate": "Captions: tag_dropout",
    "token_warmup_min": "Captions: tag_warmup_min",
    "token_warmup_step": "Captions: tag_warmup_steps",
    "weighted_captions": "Captions: caption_weights",
    "max_token_length": "captions of any length are read whole",
    "fp8_base": "Load Diffusion Model: weight_dtype",
    "fp8_base_unet": "Load Diffusion Model: weight_dtype",
    "clip_skip": "CLIP Set Last Layer before Train LoRA (clip skip 2 is -2)",
    "v_parameterization": "ModelSamplingDiscrete, or the checkpoint itself, says what is predicted",
    "seed": "Train LoRA: seed",
    "output_name": "Train LoRA: name",
    "save_precision": "Train LoRA: save_dtype",
    "save_every_n_steps": "Train LoRA: save_every",
    "save_every_n_epochs": "Train LoRA: save_every, in steps",
    "save_last_n_steps": "Train LoRA: keep_last",
    "save_last_n_epochs": "Train LoRA: keep_last",
    "gradient_checkpointing": "Train LoRA: gradient_checkpointing",
    "network_weights": "Load LoRA File, connected to lora of Train LoRA",
    "dim_from_weights": "rank and alpha are always taken from the connected LoRA",
    "base_weights": "Apply LoRA before Train LoRA",
    "base_weights_multiplier": "Apply LoRA: its strengths",
    "validation_split": "Train LoRA: validation_share",
    "validate_every_n_steps": "Train LoRA: validate_every",
    "sample_prompts": "LoRA Preview: prompts",
    "sample_every_n_steps": "LoRA Preview: every",
    "sample_every_n_epochs": "LoRA Preview: every, in steps",
    "sample_at_first": "LoRA Preview: at_start",
    "sample_sampler": "LoRA Preview: sampler",
    "save_state": "always saved",
    "save_state_on_train_end": "always saved",
    "resume": "queueing the same name resumes the run",
    "cache_text_encoder_outputs": "done wherever captions do not vary and text encoders are not trained",
    "cache_text_encoder_outputs_to_disk": "captions are encoded once for each run, in memory",
}
"""Options of other nodes, or always on here."""
WITHOUT_EQUIVALENT: Mapping[str, str] = {
    **dict.fromkeys(
        ("xformers", "sdpa", "mem_eff_attn", "lowram", "highvram", "no_half_vae",
         "mixed_precision", "torch_compile", "deepspeed", "vae_batch_size"),
        _MEMORY,
    ),
    "full_fp16": "the network is always trained in float32",
    "full_bf16": "the network is always trained in float32",
    "color_aug": "encoded images are kept, so their colors cannot change",
    "face_crop_aug_range": "not offered",
    "v2": "SD2 is not supported",
    "max_data_loader_n_workers": "images are encoded before training; there is nothing to load",
    "persistent_data_loader_workers": "images are encoded before training; there is nothing to load",
    "output_dir": "LoRAs are saved below ComfyUI's output folder, in loras",
    "save_model_as": "always safetensors",
    "logging_dir": "metrics lie beside the LoRA, and Plot Run draws them",
    "log_with": "metrics lie beside the LoRA, and Plot Run draws them",
    "save_n_epoch_ratio": "set save_every of Train LoRA to a number of steps",
}  # fmt: skip
"""Options that cannot or need not be set here, and why."""
