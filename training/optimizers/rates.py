"""Rates of the parameter groups, and the refusal of rates that cannot work."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .catalog import OptimizerSpec
from .settings import OptimizerSettings

if TYPE_CHECKING:
    from .build import TrainableGroup


def group_rate(settings: OptimizerSettings, group: "TrainableGroup") -> float:
    """Rate of one group: of its part, times block weight, LoRA+ ratio and the compensation of its scale."""
    part_rate = settings.unet_lr if group.part == "unet" else settings.text_encoder_lr
    rate = settings.learning_rate if part_rate is None else part_rate
    loraplus = settings.loraplus_ratio if group.is_up else 1.0
    return rate * group.block_weight * loraplus / _damping(settings, group)


def group_label(settings: OptimizerSettings, group: "TrainableGroup") -> str:
    """What charts call the group: its part, and what makes its rate differ."""
    block = f" x{group.block_weight:g}" if group.block_weight != 1.0 else ""
    up = " up" if group.is_up and settings.loraplus_ratio != 1.0 else ""
    scale = f" alpha/{1 / group.scale:g}" if settings.alpha_compensation != "none" else ""
    return f"{group.part}{block}{up}{scale}"


def check_rates(
    settings: OptimizerSettings,
    spec: OptimizerSpec,
    rated: Sequence[tuple["TrainableGroup", float]],
    needs_one_rate: bool,
) -> None:
    """Refuses rates the optimizer surely cannot learn with.

    Raises:
        ValueError: With the reason and the remedy.
    """
    if needs_one_rate:
        _check_one_rate(settings, spec, rated)
    if needs_one_rate and not spec.is_adaptive:
        return
    named = {
        "learning_rate": settings.learning_rate,
        "unet_lr": settings.unet_lr,
        "text_encoder_lr": settings.text_encoder_lr,
    }
    for name, rate in named.items():
        if rate and not spec.lowest_rate <= rate < spec.highest_rate:
            reason = "which finds its own step size and multiplies it by this" if spec.is_adaptive else "in any case"
            raise ValueError(
                f"{name} must be from {spec.lowest_rate:g} to below {spec.highest_rate:g} for {spec.name}, "
                f"{reason}, got {rate:g}; use {spec.usual_rate:g}"
            )


def _check_one_rate(
    settings: OptimizerSettings, spec: OptimizerSpec, rated: Sequence[tuple["TrainableGroup", float]]
) -> None:
    reason = f"{spec.name} finds one step size for the whole network and needs one rate for all of it"
    if settings.alpha_compensation != "none":
        raise ValueError(f"alpha_compensation must be none: {reason}, which already makes up for a low alpha")
    if settings.loraplus_ratio != 1.0:
        raise ValueError(f"loraplus_ratio must be 1: {reason}, got {settings.loraplus_ratio:g}; use AdamW for LoRA+")
    weights = sorted({group.block_weight for group, _ in rated})
    if len(weights) > 1:
        raise ValueError(
            f"block weights must all be equal: {reason}, got {weights}; give the blocks different ranks instead, or "
            "use AdamW"
        )
    rates = sorted({rate for _, rate in rated})
    if len(rates) > 1:
        raise ValueError(
            f"unet_lr and text_encoder_lr must be equal: {reason}, got {rates}; set both to {spec.usual_rate:g} (or "
            "one to 0 to freeze that part), lower the alpha of the part that should learn less, or use AdamW"
        )


def _damping(settings: OptimizerSettings, group: "TrainableGroup") -> float:
    """What the compensation divides the rate by; scale = alpha / rank damps the early growth of the change."""
    if settings.alpha_compensation == "none":
        return 1.0
    return group.scale**0.5 if settings.alpha_compensation == "sqrt" else group.scale
