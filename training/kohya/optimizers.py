"""Imports and exports optimizer, learning rates and schedule of an sd-scripts setup."""

from collections.abc import Mapping
from typing import Any

from ..optimizers.arguments import parse_arguments
from ..optimizers.catalog import OptimizerSpec, find_optimizer
from ..optimizers.schedules import ScheduleSettings
from ..optimizers.settings import OptimizerSettings
from .options import Options, finite
from .tables import SCHEDULES

DEFAULT_RATE = 2e-6
"""sd-scripts' default learning rate."""
DECAYS: Mapping[str, float] = {"AdamW": 0.01, "AdamW8bit": 0.01, "DAdaptAdan": 0.02}
"""Default weight decay by optimizer; 0 for the others."""
ORIGINALS: Mapping[str, Mapping[str, tuple[object, object]]] = {
    "Adafactor": {"relative_step": (True, False), "scale_parameter": (True, False)},
    "Prodigy": {"use_bias_correction": (False, True)},
    "DAdaptAdam": {"decouple": (False, True)},
    "DAdaptLion": {"weight_decouple": (True, False), "betas": ("0.9,0.99", "0.9,0.999")},
    "DAdaptSGD": {"momentum": (0.0, 0.9)},
}
"""Arguments whose defaults differ in an optimizer's own package, which sd-scripts uses: (there, here)."""
D_ADAPTATION = frozenset({"betas", "eps", "decouple", "use_bias_correction", "d0", "growth_rate"})
ORIGINAL_ARGUMENTS: Mapping[str, frozenset[str]] = {
    "Prodigy": D_ADAPTATION | {"beta3", "safeguard_warmup", "d_coef"},
    "DAdaptAdam": D_ADAPTATION,
    "DAdaptLion": frozenset({"betas", "d0"}),
    "DAdaptSGD": frozenset({"momentum", "d0", "growth_rate"}),
}
"""Arguments that those packages accept; for other optimizers all are written."""
THERE_ALONE = frozenset(
    {"slice_p", "fsdp_in_use", "log_every", "no_prox", "use_triton", "decoupled_weight_decay"}
)  # fmt: skip
"""Arguments of those packages without an equivalent; unknown ones are refused when the optimizer is built."""
OTHER_FORM = ("DAdaptAdan",)
"""Optimizers that compute different steps here than in their own package, whatever the arguments."""
PART_RATES = ("unet_lr", "text_encoder_lr", "text_encoder_2_lr")
LORAPLUS = "loraplus_lr_ratio"
NATIVE = (
    "AdamW", "AdamW8bit", "Adafactor", "Lion", "Prodigy", "DAdaptAdam", "DAdaptAdaGrad", "DAdaptAdan", "DAdaptLion",
    "DAdaptSGD",
)  # fmt: skip
"""Names that sd-scripts knows; others are given by module and class."""
SCHEDULE_FREE = {
    "ScheduleFreeAdamW": "AdamWScheduleFree",
    "ScheduleFreeRAdam": "RAdamScheduleFree",
    "ScheduleFreeSGD": "SGDScheduleFree",
}
"""sd-scripts' names for schedule-free optimizers."""


def import_optimizer(
    options: Options, network_args: Options, fields: Mapping[str, Any], schedule: Mapping[str, Any], notes: list[str]
) -> OptimizerSettings:
    """Import the optimizer; `fields` and `schedule` are options that only have another name. Adds to `notes`."""
    name = _name(options, notes)
    given = options.pairs("optimizer_args")
    decay = given.pop("weight_decay", None)
    arguments = _as_original(name, _accepted(name, given, notes), notes)
    weight_decay = DECAYS.get(name, 0.0) if decay is None else finite("weight_decay", str(decay))
    if name == "Prodigy" and weight_decay and str(arguments.get("decouple")) == "False":
        del arguments["decouple"]
        notes.append("optimizer_args decouple=False: no equivalent, weight_decay acts beside the gradient")
    values = _rates(fields, notes)
    if "relative_step" in arguments:
        values = {key: value for key, value in values.items() if key not in PART_RATES}
    return OptimizerSettings(
        optimizer=name,
        weight_decay=weight_decay,
        arguments=" ".join(f"{key}={value}" for key, value in arguments.items()),
        loraplus_ratio=network_args.number(LORAPLUS) or 1.0,
        schedule=_schedule(options, schedule, notes),
        **values,
    )


def _accepted(name: str, arguments: Mapping[str, object], notes: list[str]) -> dict[str, object]:
    """The arguments without those that only an optimizer's own package accepts, which are noted."""
    lost = sorted(THERE_ALONE & set(arguments))
    notes += [f"optimizer_args {key}={arguments[key]}: {name} does not take it here" for key in lost]
    return {key: value for key, value in arguments.items() if key not in lost}


def _as_original(name: str, arguments: dict[str, object], notes: list[str]) -> dict[str, object]:
    """The arguments completed by the defaults of the optimizer's own package that differ here."""
    aliases = find_optimizer(name).aliases
    found = dict(arguments)
    for key, (theirs, ours) in ORIGINALS.get(name, {}).items():
        given = next((one for one in found if aliases.get(one, one) == aliases.get(key, key)), None)
        if given is None:
            found[key] = theirs
            notes.append(
                f"optimizer_args {key}={theirs}: written out, as {name} has it in its own package; here {ours}"
            )
        elif str(found[given]) == str(ours):
            del found[given]
    if name in OTHER_FORM:
        notes.append(f"optimizer_type {name}: steps otherwise here than in its own package; compare the first pictures")
    return found


def export_optimizer(optimizer: OptimizerSettings, notes: list[str]) -> list[str]:
    """Export optimizer and schedule as options; LoRA+ belongs to the network's. Notes what has no equivalent."""
    spec = find_optimizer(optimizer.optimizer)
    name = SCHEDULE_FREE.get(spec.name, spec.name)
    if spec.name not in SCHEDULE_FREE and spec.name not in NATIVE:
        name = f"{spec.module.partition('.')[0]}.{spec.name}"
    arguments = [f'"{key}={_literal(value)}"' for key, value in _original_arguments(optimizer, spec, notes).items()]
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
    """The fields with a base learning rate, and a note if none was given."""
    if "learning_rate" in fields:
        return dict(fields)
    rate = fields.get("unet_lr") or DEFAULT_RATE
    notes.append(f"learning_rate is not given: {rate:g} is taken; check it")
    return {**fields, "learning_rate": rate}


def _original_arguments(optimizer: OptimizerSettings, spec: OptimizerSpec, notes: list[str]) -> dict[str, object]:
    """The arguments under the names of the optimizer's own package, plus our defaults that differ there.

    Adds what that package does not accept to `notes`.
    """
    names = {ours: theirs for theirs, ours in spec.aliases.items()}
    differing = ORIGINALS.get(spec.name, {})
    given = {names.get(key, key): value for key, value in parse_arguments(optimizer.arguments).items()}
    found: dict[str, object] = {key: ours for key, (_, ours) in differing.items()} | given
    taken = ORIGINAL_ARGUMENTS.get(spec.name, frozenset(found))
    is_lost = {key: key not in taken and value != differing.get(key, (None,))[0] for key, value in found.items()}
    notes += [f"arguments {key}={found[key]}: not taken by {spec.name} there" for key, lost in is_lost.items() if lost]
    return {key: value for key, value in found.items() if key in taken}


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
    if given == "warmup_stable_decay":
        values.setdefault("decay_steps", 0.0)
        values["warmup_from_min"] = bool(values.get("min_ratio") and values.get("warmup_steps"))
        if values.pop("cycles", 1) != 1:
            notes.append("lr_scheduler_num_cycles with warmup_stable_decay: no equivalent, one half wave instead")
    return ScheduleSettings(schedule=SCHEDULES.get(given, "constant"), **values)


def _length(options: Options, name: str) -> float | None:
    """Steps, or a share of them below 1; `10%` is 0.1.

    Raises:
        ValueError: It is not a number.
    """
    text = options.text(name)
    if text is None:
        return None
    try:
        return finite(name, text[:-1]) / 100 if text.endswith("%") else finite(name, text)
    except ValueError:
        raise ValueError(f"{name} must be a number of steps, a share or a percentage, got {text!r}") from None


def _export_schedule(schedule: ScheduleSettings, notes: list[str]) -> list[str]:
    name = _schedule_name(schedule, notes)
    words = [f"--lr_scheduler={name}"]
    if schedule.warmup_steps:
        words.append(f"--lr_warmup_steps={schedule.warmup_steps:g}")
        if schedule.min_ratio and schedule.warmup_from_min != (name == "warmup_stable_decay"):
            notes.append(f"warmup_from_min {schedule.warmup_from_min}: the other way in sd-scripts' {name}")
    if name == "warmup_stable_decay":
        words.append(f"--lr_decay_steps={schedule.decay_steps:g}")
    if name == "polynomial":
        words.append(f"--lr_scheduler_power={schedule.power:g}")
    return words


def _schedule_name(schedule: ScheduleSettings, notes: list[str]) -> str:
    if schedule.schedule in ("logarithmic", "rex"):
        notes.append(f"schedule {schedule.schedule}: no equivalent, cosine instead")
    elif schedule.schedule == "constant":
        return "constant_with_warmup" if schedule.warmup_steps else "constant"
    elif schedule.schedule != "cosine":
        if schedule.min_ratio and schedule.schedule != "warmup_stable_decay":
            notes.append(f"min_ratio with {schedule.schedule}: no equivalent")
        return schedule.schedule
    return "cosine_with_min_lr" if schedule.min_ratio else "cosine"


def _literal(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)  # pyright: ignore[reportUnknownArgumentType]
