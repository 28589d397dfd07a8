"""Optimizer, rates and schedule of an sd-scripts setup, there and back."""

from collections.abc import Mapping
from typing import Any

from ..optimizers.arguments import parse_arguments
from ..optimizers.catalog import find_optimizer
from ..optimizers.schedules import ScheduleSettings
from ..optimizers.settings import OptimizerSettings
from .options import Options
from .tables import SCHEDULES

DEFAULT_RATE = 2e-6
"""sd-scripts' own, where no rate is given."""
DECAYED = ("adamw", "adamw8bit")
"""Optimizers that decay by 0.01 where nothing is said; the others by 0."""
ADAFACTOR = {"relative_step": False, "scale_parameter": False}
"""Its arguments that are off here unless switched on, and on in sd-scripts unless switched off."""
LORAPLUS = "loraplus_lr_ratio"
NATIVE = (
    "AdamW", "AdamW8bit", "Adafactor", "Lion", "Prodigy", "DAdaptAdam", "DAdaptAdaGrad", "DAdaptAdan", "DAdaptLion",
    "DAdaptSGD",
)  # fmt: skip
"""Names that sd-scripts knows; it takes others by module and class."""
SCHEDULE_FREE = {
    "ScheduleFreeAdamW": "AdamWScheduleFree",
    "ScheduleFreeRAdam": "RAdamScheduleFree",
    "ScheduleFreeSGD": "SGDScheduleFree",
}
"""Its names of those."""


def import_optimizer(
    options: Options, network_args: Options, fields: Mapping[str, Any], schedule: Mapping[str, Any], notes: list[str]
) -> OptimizerSettings:
    """The optimizer; `fields` and `schedule` are options that only have another name. Adds to `notes`."""
    name = _name(options, notes)
    arguments = options.pairs("optimizer_args")
    decay = arguments.pop("weight_decay", None)
    values = _rates(fields, notes)
    if name == "Adafactor" and _finds_rate(arguments):
        values = {key: value for key, value in values.items() if key not in ("unet_lr", "text_encoder_lr")}
    return OptimizerSettings(
        optimizer=name,
        weight_decay=float(str(decay)) if decay is not None else 0.01 if name.lower() in DECAYED else 0.0,
        arguments=" ".join(f"{key}={value}" for key, value in arguments.items()),
        loraplus_ratio=network_args.number(LORAPLUS) or 1.0,
        schedule=_schedule(options, schedule, notes),
        **values,
    )


def export_optimizer(optimizer: OptimizerSettings, notes: list[str]) -> list[str]:
    """Options of optimizer and schedule; LoRA+ is among the network's. Adds to `notes` what has no equivalent."""
    spec = find_optimizer(optimizer.optimizer)
    name = SCHEDULE_FREE.get(spec.name, spec.name)
    if spec.name not in SCHEDULE_FREE and spec.name not in NATIVE:
        name = f"{spec.module.partition('.')[0]}.{spec.name}"
    arguments = [f'"{key}={_literal(value)}"' for key, value in parse_arguments(optimizer.arguments).items()]
    if optimizer.optimizer == "Adafactor":
        arguments += [f'"{key}={ours}"' for key, ours in ADAFACTOR.items() if key not in optimizer.arguments]
    for field in ("ema_decay", "alpha_compensation"):
        if getattr(optimizer, field) not in (0.0, "none"):
            notes.append(f"{field}: no equivalent")
    return [
        f"--optimizer_type={name}",
        "--optimizer_args",
        f'"weight_decay={optimizer.weight_decay:g}"',
        *arguments,
        *_export_schedule(optimizer.schedule, notes),
    ]


def _name(options: Options, notes: list[str]) -> str:
    given = options.text("optimizer_type") or ""
    if options.flag("use_8bit_adam"):
        given = given or "AdamW8bit"
    if options.flag("use_lion_optimizer"):
        given = given or "Lion"
    name = given.rpartition(".")[2] or "AdamW"
    try:
        return find_optimizer(name).name
    except ValueError:
        notes.append(f"optimizer_type {given}: no equivalent, AdamW instead; check the rate")
        return "AdamW"


def _rates(fields: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    """The fields with a base rate, and a note where none was given."""
    if "learning_rate" in fields:
        return dict(fields)
    rate = fields.get("unet_lr") or DEFAULT_RATE
    notes.append(f"learning_rate is not given: {rate:g} is taken; check it")
    return {**fields, "learning_rate": rate}


def _finds_rate(arguments: dict[str, Any]) -> bool:
    """Whether Adafactor finds its rate; its arguments get sd-scripts' defaults, which are the opposite of ours."""
    for key, ours in ADAFACTOR.items():
        if str(arguments.setdefault(key, True)) == str(ours):
            del arguments[key]
    return "relative_step" in arguments


def _schedule(options: Options, fields: Mapping[str, Any], notes: list[str]) -> ScheduleSettings:
    given = options.text("lr_scheduler") or "constant"
    if given not in SCHEDULES:
        remedy = "chain Stages of other rates" if given == "piecewise_constant" else "constant instead"
        notes.append(f"lr_scheduler {given}: no equivalent, {remedy}")
    values = dict(fields)
    for name, field in (("lr_warmup_steps", "warmup_steps"), ("lr_decay_steps", "decay_steps")):
        length = _length(options, name)
        if length is not None:
            values[field] = length
    if given == "polynomial":
        values.setdefault("power", 1.0)
    return ScheduleSettings(schedule=SCHEDULES.get(given, "constant"), **values)


def _length(options: Options, name: str) -> float | None:
    """Steps, or a share of them below 1; `10%` is 0.1.

    Raises:
        ValueError: It is no number.
    """
    text = options.text(name)
    if text is None:
        return None
    try:
        return float(text[:-1]) / 100 if text.endswith("%") else float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number of steps, a share or a percentage, got {text!r}") from None


def _export_schedule(schedule: ScheduleSettings, notes: list[str]) -> list[str]:
    name: str = schedule.schedule
    if name in ("logarithmic", "rex"):
        notes.append(f"schedule {name}: no equivalent, cosine instead")
        name = "cosine"
    if name == "constant" and schedule.warmup_steps:
        name = "constant_with_warmup"
    if schedule.min_ratio and name == "cosine":
        name = "cosine_with_min_lr"
    elif schedule.min_ratio and name != "warmup_stable_decay":
        notes.append(f"min_ratio with {name}: no equivalent")
    words = [f"--lr_scheduler={name}"]
    if schedule.warmup_steps:
        words.append(f"--lr_warmup_steps={schedule.warmup_steps:g}")
    if name == "warmup_stable_decay":
        words.append(f"--lr_decay_steps={schedule.decay_steps:g}")
    if name == "polynomial":
        words.append(f"--lr_scheduler_power={schedule.power:g}")
    return words


def _literal(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType]
