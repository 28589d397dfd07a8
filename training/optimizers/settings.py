"""Settings of the optimizer, checked here."""

from dataclasses import dataclass, field
from typing import Literal

from .arguments import parse_arguments
from .catalog import find_optimizer
from .schedules import ScheduleSettings

AlphaCompensation = Literal["none", "sqrt", "full"]


@dataclass(frozen=True, kw_only=True, slots=True)
class OptimizerSettings:
    """Optimizer, learning rates and schedule of a stage."""

    optimizer: str = "AdamW"
    """A name of `OPTIMIZERS`, or any of the pytorch-optimizer library; case, `-` and `_` do not matter."""
    learning_rate: float = 2e-4
    """Base learning rate, above 0. Adaptive optimizers find their own and want 1 here."""
    unet_lr: float | None = None
    """Learning rate of the U-Net; None = learning_rate, 0 = frozen."""
    text_encoder_lr: float | None = None
    """Learning rate of the text encoders; None = learning_rate, 0 = frozen."""
    text_encoder_2_lr: float | None = None
    """Learning rate of SDXL's second text encoder; None = that of the first, 0 = frozen."""
    weight_decay: float = 0.01
    """Pull of the parameters toward 0. 0 off."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this total norm. 0 off."""
    arguments: str = ""
    """Further arguments of the optimizer, `name=value` separated by spaces, values as Python literals."""
    loraplus_ratio: float = 1.0
    """Learning rate of the up matrices relative to the others, above 0.

    1 off; 16 in LoRA+ (https://arxiv.org/abs/2402.12354).
    """
    alpha_compensation: AlphaCompensation = "none"
    """How the learning rate makes up for a small scale = alpha / rank.

    none; sqrt: divides by √scale, which keeps the size of late steps; full: divides by scale, which keeps the initial
    speed.
    """
    ema_decay: float = 0.0
    """Decay of the moving average that is saved and sampled, 0..1. 0 off; 0.99 averages about 100 steps."""
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    """How the learning rates change over the stage."""

    def __post_init__(self) -> None:
        """Refuse what no optimizer accepts; `build_optimizer` refuses what the chosen one does not accept.

        Raises:
            ValueError: With field, allowed range and value.
        """
        find_optimizer(self.optimizer)
        parse_arguments(self.arguments)
        for name, value, is_valid, wanted in (
            ("learning_rate", self.learning_rate, self.learning_rate > 0, "above 0"),
            ("unet_lr", self.unet_lr, self.unet_lr is None or self.unet_lr >= 0, "0 or more"),
            ("text_encoder_lr", self.text_encoder_lr, (self.text_encoder_lr or 0.0) >= 0, "0 or more"),
            ("text_encoder_2_lr", self.text_encoder_2_lr, (self.text_encoder_2_lr or 0.0) >= 0, "0 or more"),
            ("weight_decay", self.weight_decay, self.weight_decay >= 0, "0 or more"),
            ("max_grad_norm", self.max_grad_norm, self.max_grad_norm >= 0, "0 or more"),
            ("loraplus_ratio", self.loraplus_ratio, self.loraplus_ratio > 0, "above 0"),
            ("ema_decay", self.ema_decay, 0 <= self.ema_decay < 1, "from 0 to below 1"),
            (
                "alpha_compensation",
                self.alpha_compensation,
                self.alpha_compensation in ("none", "sqrt", "full"),
                "none, sqrt or full",
            ),
        ):
            if not is_valid:
                raise ValueError(f"{name} must be {wanted}, got {value}")
