"""Facts about a MODEL of the graph: its family, its sampling, and its patches."""

from collections.abc import Iterator
from typing import Any

import comfy.model_base
import comfy.model_sampling
import torch
from torch import Tensor

from ....training.base_model import ModelFamily, PredictionType
from ....training.objective.schedule import NO_SIGNAL, flow_shares

NUM_TIMESTEPS = 1000
LATENT_CHANNELS = 4
OTHER_CHANNELS = {8: "instruct-pix2pix", 9: "inpainting"}
"""Models of these families with pictures beside the latents, by their input channels."""
ENCODERS: dict[ModelFamily, tuple[str, ...]] = {"sd15": ("clip_l",), "sdxl": ("clip_l", "clip_g")}
"""Text encoders that a family reads, as the host names them."""
TORCH_COMPILE_KWARGS = "torch_compile_kwargs"
"""Where the host's TorchCompileModel stores its options, in the MODEL's."""
COMPILE_WRAPPER = "torch.compile"
"""Key of the wrapper it sets on the model."""


def model_family(model: Any) -> ModelFamily:
    """`sd15` or `sdxl` of a MODEL.

    Raises ValueError for every other family, naming it.
    """
    base, config = model.model, model.model.model_config.unet_config
    if config.get("in_channels") == LATENT_CHANNELS:
        if isinstance(base, comfy.model_base.SDXL):
            return "sdxl"
        if type(base) is comfy.model_base.BaseModel and config.get("context_dim") == 768:
            return "sd15"
    name = f"{type(base).__name__} ({type(base.model_config).__name__})"
    if kind := OTHER_CHANNELS.get(config.get("in_channels")):
        raise ValueError(
            f"model is an {kind} model ({name}, {config['in_channels']} input channels), which needs more pictures "
            "than a dataset here has. Load the plain checkpoint of its family; a LoRA of that works on this model too."
        )
    raise ValueError(
        f"model is a {name}; this pack trains SD1.5 and SDXL models. Load a checkpoint of one of these families."
    )


def check_clip(clip: Any, family: ModelFamily) -> None:
    """Refuse text encoders of another family, whose answers the U-Net cannot read.

    Raises:
        ValueError: Naming what they are.
    """
    stage = clip.cond_stage_model
    found = [name for name in ENCODERS["sdxl"] if hasattr(stage, name)]
    if tuple(found) != ENCODERS[family]:
        raise ValueError(
            f"clip is a {type(stage).__name__} with {' and '.join(found) or 'neither clip_l nor clip_g'}; the model is "
            f"{family} and reads {' and '.join(ENCODERS[family])}. Connect the CLIP of the model's checkpoint."
        )


def check_latents(latents: Tensor) -> None:
    """Refuse latents of a VAE that belongs to another kind of model.

    Raises:
        ValueError: They are not (B, 4, H, W).
    """
    if latents.ndim != 4 or latents.shape[1] != LATENT_CHANNELS:
        raise ValueError(
            f"vae gives latents of shape {tuple(latents.shape)}, the model reads {LATENT_CHANNELS} channels; connect "
            "the VAE of the model's checkpoint"
        )


def known_prediction_type(model: Any) -> PredictionType | None:
    """What the denoiser predicts, by the MODEL's sampling (patches such as ModelSamplingDiscrete included).

    None if it is neither noise nor v nor the velocity of rectified flow (ModelSamplingSD3, ModelSamplingAuraFlow).
    """
    sampling = model.get_model_object("model_sampling")
    is_other = isinstance(sampling, (comfy.model_sampling.EDM, comfy.model_sampling.X0))
    if isinstance(sampling, comfy.model_sampling.V_PREDICTION) and not is_other:
        return "v_prediction"
    if isinstance(sampling, comfy.model_sampling.EPS) and not is_other:
        return "epsilon"
    is_flow = isinstance(sampling, comfy.model_sampling.CONST) and getattr(sampling, "noise_scale", 1.0) == 1.0
    return "flow" if is_flow and isinstance(sampling, comfy.model_sampling.ModelSamplingDiscreteFlow) else None


def prediction_type(model: Any) -> PredictionType:
    """The same for a model to be trained; other predictions are refused."""
    found = known_prediction_type(model)
    if found is not None:
        return found
    sampling = model.get_model_object("model_sampling")
    kinds = ", ".join(kind.__name__ for kind in type(sampling).__mro__[1:3])
    raise ValueError(
        f"model samples by {kinds}; only epsilon and v-prediction models and the rectified flow of ModelSamplingSD3 "
        "can be trained here."
    )


def refuse_bypass(patcher: Any) -> None:
    """Raise ValueError for a LoRA that the host computes beside the layers instead of in their weights.

    It replaces the layers' forwards, as training does, and is not part of any weight that could be compared.
    """
    if "bypass_lora" in patcher.injections:
        raise ValueError(
            "model or clip carries a LoRA loaded in bypass mode, which cannot be trained upon: load it with Load LoRA "
            "or Apply LoRA (Bakery), which put it into the weights"
        )


def signal_shares(model: Any) -> Tensor:
    """`alphas_cumprod` of the MODEL's noise levels, float64, (1000,)."""
    sigmas = noise_levels(model)
    return flow_shares(sigmas) if known_prediction_type(model) == "flow" else 1.0 / (sigmas.square() + 1.0)


def model_times(model: Any) -> Tensor:
    """The denoiser's time for each timestep, float32, (1000,): its index; for rectified flow σ times a factor."""
    if known_prediction_type(model) != "flow":
        return torch.arange(NUM_TIMESTEPS, dtype=torch.float32)
    sampling = model.get_model_object("model_sampling")
    return sampling.timestep(noise_levels(model)).float()


def noise_levels(model: Any) -> Tensor:
    """Sigma of every timestep, float64, (1000,), as the MODEL samples with (patches included).

    Raises:
        ValueError: It has fewer, so that timesteps are not indices of noise levels.
    """
    sampling = model.get_model_object("model_sampling")
    sigmas = sampling.sigmas.detach().cpu().double()  # in this order: not every device has float64
    if len(sigmas) != NUM_TIMESTEPS:
        kinds = ", ".join(kind.__name__ for kind in type(sampling).__mro__[1:3])
        raise ValueError(
            f"model samples by {kinds} with {len(sigmas)} noise levels, training needs all {NUM_TIMESTEPS}: connect "
            "the model from before the node that sets this (ModelSamplingDiscrete with lcm), and put that node behind "
            "Train LoRA"
        )
    return sigmas


def ends_in_noise(prediction: PredictionType, alphas_cumprod_T: Tensor) -> bool:
    """Zero terminal SNR: the last timestep has no signal. Rectified flow always ends so."""
    return prediction != "flow" and bool(alphas_cumprod_T[-1] < NO_SIGNAL)


def prediction_note(prediction: PredictionType, alphas_cumprod_T: Tensor) -> str:
    """What the model was found to predict: a merge's file may not say so, and then it loads as epsilon."""
    is_zero = ends_in_noise(prediction, alphas_cumprod_T)
    return f"model predicts {prediction}{', zero-terminal SNR' if is_zero else ''}"


def sampling_note(model: Any) -> str:
    """A note that sampling patches are not part of training, by name; empty without any."""
    names = sorted(set(_sampling_patches(model)))
    return f"sampling patches are not used in training: {', '.join(names)}" if names else ""


def _sampling_patches(model: Any) -> Iterator[str]:
    """Names of functions that the host's sampling calls but a plain pass through the U-Net does not."""
    options = dict(model.model_options)
    inner = options.pop("transformer_options", {})
    for group in ("patches", "patches_replace"):
        yield from (name for name, patches in inner.get(group, {}).items() if patches)
    yield from (name for name, value in inner.items() if callable(value))
    yield from (name for name, value in options.items() if _has_function(value))
    for wrappers in model.wrappers.values():
        yield from (str(key or "wrapper") for key, found in wrappers.items() if found and key != COMPILE_WRAPPER)


def _has_function(value: Any) -> bool:
    return callable(value) or (isinstance(value, (list, tuple)) and any(callable(item) for item in value))


def clip_skip(clip: Any, family: ModelFamily) -> int | None:
    """Last hidden layers of the text encoders that are skipped, 1 = none; the host's default if not set."""
    if clip is None:
        return None
    return {"sd15": 1, "sdxl": 2}[family] if clip.layer_idx is None else abs(clip.layer_idx)
