"""Learning rates of the parameter groups, and the refusal of those that cannot work."""

from collections.abc import Sequence
from typing import Literal

from ..base_model import PartName
from .arguments import parse_arguments
from .catalog import OptimizerSpec, find_optimizer
from .groups import TrainableGroup
from .settings import OptimizerSettings

RateSource = Literal["given", "factor of d", "found"]
"""Where a learning rate comes from: given; given, times a step size d found in training; found entirely."""


def rate_source(settings: OptimizerSettings) -> RateSource:
    """Where an optimizer's learning rate comes from; Adafactor finds its own with relative_step."""
    if parse_arguments(settings.arguments).get("relative_step"):
        return "found"
    return "factor of d" if find_optimizer(settings.optimizer).is_adaptive else "given"


def part_rate(settings: OptimizerSettings, part: PartName) -> float:
    """Base learning rate of the U-Net or of a text encoder."""
    rate = settings.unet_lr if part == "unet" else settings.text_encoder_lr
    if part == "text_encoder_2" and settings.text_encoder_2_lr is not None:
        rate = settings.text_encoder_2_lr
    return settings.learning_rate if rate is None else rate


def group_rate(settings: OptimizerSettings, group: TrainableGroup) -> float:
    """Learning rate of one group: its part's, times block weight, LoRA+ ratio and alpha compensation."""
    loraplus = settings.loraplus_ratio if group.is_up else 1.0
    return part_rate(settings, group.part) * group.block_weight * loraplus / _damping(settings, group)


def group_label(settings: OptimizerSettings, group: TrainableGroup) -> str:
    """Name of a group in charts: its part, and why its learning rate differs."""
    block = f" x{group.block_weight:g}" if group.block_weight != 1.0 else ""
    up = " up" if group.is_up and settings.loraplus_ratio != 1.0 else ""
    scale = f" alpha/{1 / group.scale:g}" if settings.alpha_compensation != "none" else ""
    return f"{group.part}{block}{up}{scale}"


def check_rates(settings: OptimizerSettings, spec: OptimizerSpec, needs_one_rate: bool) -> None:
    """Refuse learning rates that the optimizer cannot train with, before the network exists.

    Raises:
        ValueError: With the reason and a value that works.
    """
    if needs_one_rate:
        _check_multipliers(settings, spec)
    if needs_one_rate and not spec.is_adaptive:
        return
    named = {
        "learning_rate": settings.learning_rate,
        "unet_lr": settings.unet_lr,
        "text_encoder_lr": settings.text_encoder_lr,
        "text_encoder_2_lr": settings.text_encoder_2_lr,
    }
    for name, rate in named.items():
        if rate and not spec.lowest_rate <= rate < spec.highest_rate:
            reason = ", which finds its own step size and multiplies it by this" if spec.is_adaptive else ""
            raise ValueError(
                f"{name} must be from {spec.lowest_rate:g} to below {spec.highest_rate:g} for {spec.name}{reason}, "
                f"got {rate:g}; use {spec.usual_rate:g}"
            )


def check_one_rate(spec: OptimizerSpec, rated: Sequence[tuple[TrainableGroup, float]]) -> None:
    """Refuse groups with different learning rates for an optimizer that finds one step size for all.

    Raises:
        ValueError: With the reason and what to change.
    """
    weights = sorted({group.block_weight for group, _ in rated})
    if len(weights) > 1:
        raise ValueError(
            f"block weights must all be equal: {_reason(spec)}, got {weights}; give the blocks different ranks "
            "instead, or use AdamW"
        )
    rates = sorted({rate for _, rate in rated})
    if len(rates) > 1:
        raise ValueError(
            f"unet_lr and text_encoder_lr must be equal: {_reason(spec)}, got {rates}; set both to "
            f"{spec.usual_rate:g} (or one to 0 to freeze that part), lower the alpha of the part that should learn "
            "less, or use AdamW"
        )


def _check_multipliers(settings: OptimizerSettings, spec: OptimizerSpec) -> None:
    if settings.alpha_compensation != "none":
        raise ValueError(f"alpha_compensation must be none: {_reason(spec)}, which already makes up for a low alpha")
    if settings.loraplus_ratio != 1.0:
        raise ValueError(
            f"loraplus_ratio must be 1: {_reason(spec)}, got {settings.loraplus_ratio:g}; use AdamW for LoRA+"
        )


def _reason(spec: OptimizerSpec) -> str:
    return f"{spec.name} finds one step size for the whole network and needs one rate for all of it"


def _damping(settings: OptimizerSettings, group: TrainableGroup) -> float:
    """Divisor of the learning rate for alpha compensation; scale = alpha / rank damps early growth."""
    if settings.alpha_compensation == "none":
        return 1.0
    return group.scale**0.5 if settings.alpha_compensation == "sqrt" else group.scale
