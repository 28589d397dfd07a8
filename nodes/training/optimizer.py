"""How a network learns: optimizer, learning rates and schedule."""

from dataclasses import fields
from typing import Any

from ...training.optimizers import (
    OPTIMIZERS,
    SCHEDULES,
    OptimizerSettings,
    ScheduleSettings,
    check_optimizer,
    no_decay_note,
)
from .. import sockets
from ..comfy_bridge.host.node_api import io
from ..menu import ADVANCED

SETTINGS = OptimizerSettings()
SCHEDULE = ScheduleSettings()
SCHEDULE_FIELDS = {field.name for field in fields(ScheduleSettings)}
SAME_RATE = -1.0
"""A part's learning rate if it has none of its own."""


class BakeryOptimizer(io.ComfyNode):
    """Optimizer, learning rates and schedule."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="BakeryOptimizer",
            display_name="Optimizer (Bakery)",
            category=ADVANCED,
            description="Optimizer, learning rates and schedule. AdamW: a learning rate near 0.0002. Prodigy and "
            "DAdaptAdam find their own learning rate: set 1.",
            search_aliases=["learning rate", "adamw", "prodigy", "lion", "adafactor", "scheduler", "warmup", "ema"],
            inputs=[*_rate_inputs(), *_schedule_inputs(), *_advanced_inputs()],
            outputs=[sockets.Optimizer.Output(display_name="optimizer", tooltip="For Train LoRA or Training Stage.")],
        )

    @classmethod
    def execute(cls, optimizer: str, **values: Any) -> io.NodeOutput:
        schedule = ScheduleSettings(**{name: values.pop(name) for name in SCHEDULE_FIELDS & set(values)})
        for part in ("unet_lr", "text_encoder_lr", "text_encoder_2_lr"):
            values[part] = None if values.get(part, SAME_RATE) < 0 else values[part]
        name = values.pop("other_optimizer", "").strip() or optimizer
        settings = check_optimizer(OptimizerSettings(optimizer=name, schedule=schedule, **values))
        note = no_decay_note(settings)
        return io.NodeOutput(settings, ui={"text": [note] if note else []})


def _rate_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "optimizer", options=[spec.name for spec in OPTIMIZERS], default=SETTINGS.optimizer,
            tooltip="AdamW is the safe choice. Prodigy and DAdaptAdam find their own learning rate; Adafactor and CAME "
            "save memory; schedule-free optimizers need no schedule.",
        ),
        io.Float.Input(
            "learning_rate", default=SETTINGS.learning_rate, min=0.0, max=10.0, step=0.000001, round=False,
            tooltip="Learning rate. AdamW: 0.00005 to 0.0005. Lion: a third of that. Prodigy and DAdaptAdam: 1.",
        ),
        io.Float.Input(
            "unet_lr", display_name="unet_lr (-1 = learning_rate)",
            default=SAME_RATE, min=SAME_RATE, max=10.0, step=0.000001, round=False,
            tooltip="Learning rate of the U-Net. -1 = same as learning_rate, 0 = not trained.",
        ),
        io.Float.Input(
            "text_encoder_lr", display_name="text_encoder_lr (-1 = learning_rate)",
            default=SAME_RATE, min=SAME_RATE, max=10.0, step=0.000001, round=False,
            tooltip="Learning rate of the text encoders, often half of the U-Net's. -1 = same as learning_rate, 0 = "
            "not trained.",
        ),
        io.Float.Input(
            "weight_decay", default=SETTINGS.weight_decay, min=0.0, max=10.0, step=0.001, round=False,
            tooltip="Pulls the weights toward 0, against overfitting. 0 = off.",
        ),
    ]  # fmt: skip


def _schedule_inputs() -> list[io.Input]:
    return [
        io.Combo.Input(
            "schedule", options=list(SCHEDULES), default=SCHEDULE.schedule,
            tooltip="How the learning rate changes over the steps. With constant, you can add steps later; the others "
            "end low.",
        ),
        io.Float.Input(
            "warmup_steps", default=SCHEDULE.warmup_steps, min=0.0, max=1_000_000.0, step=0.01, round=False,
            tooltip="Steps over which the learning rate rises from 0 to its full value; below 1, a fraction of all "
            "steps. 0 = off.",
        ),
        io.Float.Input(
            "min_ratio", default=SCHEDULE.min_ratio, min=0.0, max=1.0, step=0.01,
            tooltip="Fraction of the learning rate left at the end of a falling schedule. 0 = falls to zero.",
        ),
        io.Int.Input(
            "cycles", default=SCHEDULE.cycles, min=1, max=1000, optional=True, advanced=True,
            tooltip="Number of cycles of cosine_with_restarts. 1 = plain cosine.",
        ),
        io.Float.Input(
            "power", default=SCHEDULE.power, min=0.01, max=20.0, step=0.1, optional=True, advanced=True,
            tooltip="Exponent of the polynomial schedule. 1 = straight line.",
        ),
        io.Float.Input(
            "decay_steps", default=SCHEDULE.decay_steps, min=0.0, max=1_000_000.0, step=0.01, round=False,
            optional=True, advanced=True,
            tooltip="Length of the final decay of warmup_stable_decay in steps; below 1, a fraction of all steps.",
        ),
        io.Float.Input(
            "timescale", display_name="timescale (0 = warmup)",
            default=SCHEDULE.timescale, min=0.0, max=1_000_000.0, step=1.0, optional=True, advanced=True,
            tooltip="How slowly inverse_sqrt decays, in steps. 0 = as long as the warmup.",
        ),
    ]  # fmt: skip


def _advanced_inputs() -> list[io.Input]:
    return [
        io.Float.Input(
            "max_grad_norm", default=SETTINGS.max_grad_norm, min=0.0, max=1000.0, step=0.1,
            optional=True, advanced=True,
            tooltip="Gradients with a larger norm are scaled down to this, so that one bad batch does no harm. 0 = "
            "off.",
        ),
        io.Combo.Input(
            "alpha_compensation", options=["none", "sqrt", "full"], default=SETTINGS.alpha_compensation,
            optional=True, advanced=True,
            tooltip="Raises the learning rate to make up for alpha / rank below 1. full: keeps the speed of early "
            "steps. sqrt: keeps the size of late steps.",
        ),
        io.Float.Input(
            "loraplus_ratio", default=SETTINGS.loraplus_ratio, min=0.01, max=100.0, step=0.5,
            optional=True, advanced=True,
            tooltip="LoRA+: how many times faster the up matrices learn; the paper uses 16. 1 = off.",
        ),
        io.Float.Input(
            "ema_decay", default=SETTINGS.ema_decay, min=0.0, max=0.99999, step=0.001, round=False,
            optional=True, advanced=True,
            tooltip="Saves and previews a running average (EMA) of the network; 0.99 averages over about 100 steps. 0 "
            "= off.",
        ),
        io.String.Input(
            "arguments", default=SETTINGS.arguments, placeholder="betas=0.9,0.99 eps=1e-8",
            optional=True, advanced=True,
            tooltip="More optimizer arguments as name=value, separated by spaces. An unknown name shows the list.",
        ),
        io.String.Input(
            "other_optimizer", default="", placeholder="ademamix", optional=True, advanced=True,
            tooltip="Name of another optimizer of the pytorch-optimizer library, used instead of the one above.",
        ),
        io.Float.Input(
            "text_encoder_2_lr", display_name="text_encoder_2_lr (-1 = text_encoder_lr)",
            default=SAME_RATE, min=SAME_RATE, max=10.0, step=0.000001, round=False,
            optional=True, advanced=True,
            tooltip="Learning rate of SDXL's second text encoder alone. -1 = text_encoder_lr, 0 = not trained.",
        ),
        io.Boolean.Input(
            "warmup_from_min", default=SCHEDULE.warmup_from_min, optional=True, advanced=True,
            tooltip="The warmup begins at min_ratio instead of 0, as warmup_stable_decay does in kohya's scripts.",
        ),
    ]  # fmt: skip


NODES: list[type[io.ComfyNode]] = [BakeryOptimizer]
