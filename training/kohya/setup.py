"""Converts a setup of sd-scripts to settings, and settings to its command lines, with lists of what is lost."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, cast

from ..loop.stages import Plan, Stage, stage_optimizers
from ..networks.settings import NetworkSettings
from ..objective.settings import ObjectiveSettings
from ..optimizers.catalog import find_optimizer
from ..optimizers.settings import OptimizerSettings
from .networks import export_network, import_network
from .optimizers import LORAPLUS, export_optimizer, import_optimizer
from .options import Options
from .reading import read_kohya
from .tables import ELSEWHERE, OPTIONS, WITHOUT_EQUIVALENT, Kind, Owner

DEFAULT_STEPS = 1600
"""sd-scripts' default length."""
SCRIPT = "train_network.py"
SECRET = ("huggingface_token", "wandb_api_key")
"""Options with private values, since notes end up in pictures' workflows."""
MASKS = ("masked_loss", "alpha_mask")
ONLY_HERE = (
    "soft_min_snr", "p2_gamma", "timestep_distribution", "prior_preservation", "trigger", "trigger_class",
    "unmasked_weight", "unmasked_prior_weight",
)  # fmt: skip
"""Fields of the objective without an equivalent on sd-scripts' command line."""


@dataclass(frozen=True, kw_only=True, slots=True)
class KohyaSetup:
    """A setup of sd-scripts as settings."""

    network: NetworkSettings
    optimizer: OptimizerSettings
    objective: ObjectiveSettings
    stages: Plan
    elsewhere: tuple[str, ...]
    """Options of other nodes, with their values."""
    lost: tuple[str, ...]
    """Options without an equivalent, and what was done instead."""

    def text(self) -> str:
        """What is left to do and what is lost, in lines."""
        to_do = ["To set on other nodes:", *(f"- {line}" for line in self.elsewhere)] if self.elsewhere else []
        lost = ["Without equivalent:", *(f"- {line}" for line in self.lost)] if self.lost else []
        return "\n".join([*to_do, *lost]) or "Everything was taken over."


def with_installed_optimizer(setup: KohyaSetup) -> KohyaSetup:
    """Replace 8-bit AdamW by AdamW if its package is not installed."""
    if setup.optimizer.optimizer != "AdamW8bit":
        return setup
    try:
        find_optimizer("AdamW8bit").load()
    except ValueError:
        note = "optimizer_type AdamW8bit: needs the package bitsandbytes, which is not usable here; AdamW instead, "
        note += "which learns alike and takes 6 bytes more for each parameter of the network"
        return replace(setup, optimizer=replace(setup.optimizer, optimizer="AdamW"), lost=(*setup.lost, note))
    return setup


@dataclass(frozen=True, slots=True)
class KohyaCommands:
    """Settings as command lines of sd-scripts."""

    text: str
    """One line per stage."""
    lost: tuple[str, ...]
    """Settings without an equivalent."""


def import_kohya(text: str) -> KohyaSetup:
    """Import a command line, TOML or JSON; every option is used or listed.

    Raises:
        ValueError: The text cannot be read, or a value is out of range.
    """
    read = read_kohya(text)
    options, notes = read.options, [f"{read.launcher}: not needed"] if read.launcher else []
    text_rates = _text_rates(options, notes)
    taken = {owner: _take(options, owner) for owner in ("network", "optimizer", "schedule", "objective", "stage")}
    taken["optimizer"] |= text_rates
    network_args = options.pairs("network_args")
    loraplus = Options({LORAPLUS: network_args.pop(LORAPLUS, None)})
    optimizer = import_optimizer(options, loraplus, taken["optimizer"], taken["schedule"], notes)
    rest = Options({**options.left_over(), "network_args": [f"{key}={value}" for key, value in network_args.items()]})
    network = import_network(rest, taken["network"], notes)
    objective = _objective(rest, taken["objective"])
    stage = Stage(**_length(rest), **taken["stage"])
    notes += _accumulation_notes(stage)
    elsewhere, lost = _sorted_out(rest)
    return KohyaSetup(
        network=network, optimizer=optimizer, objective=objective, stages=(stage,),
        elsewhere=elsewhere, lost=(*notes, *lost),
    )  # fmt: skip


def export_kohya(
    network: NetworkSettings, optimizer: OptimizerSettings, objective: ObjectiveSettings, stages: Plan
) -> KohyaCommands:
    """Commands that train the same, as closely as sd-scripts can; model, dataset and names are left to fill in."""
    notes: list[str] = []
    network_words, objective_words = export_network(network, notes), _export_objective(objective, notes)
    lines: list[str] = []
    for number, (stage, settings) in enumerate(zip(stages, stage_optimizers(stages, optimizer), strict=True), 1):
        words = _with_loraplus(network_words, settings.loraplus_ratio)
        words += [*_export_rates(settings), *export_optimizer(settings, notes)]
        words += [*_export_fields(settings.schedule, "schedule"), *objective_words, *_export_stage(stage, notes)]
        if number > 1:
            words.append(f'--network_weights="stage {number - 1}.safetensors"')
        if len(stages) > 1:
            words.append(f'--output_name="stage {number}"')
        lines.append(" ".join([SCRIPT, *dict.fromkeys(words)]))
    if len(stages) > 1:
        notes.append("stages: one command each, starting from the weights of the previous one")
    return KohyaCommands("\n".join(lines), tuple(dict.fromkeys(notes)))


def _take(options: Options, owner: Owner) -> dict[str, Any]:
    """Options of one owner that only have another name."""
    readers: Mapping[Kind, Any] = {
        "integer": options.integer, "number": options.number, "flag": options.flag, "text": options.text,
    }  # fmt: skip
    wanted = [option for option in OPTIONS if option.owner == owner and option.name in options]
    return {option.field: readers[option.kind](option.name) for option in wanted}


def _text_rates(options: Options, notes: list[str]) -> dict[str, float]:
    """The learning rates of the text encoders; a second one is for SDXL's second text encoder."""
    rates = options.numbers("text_encoder_lr")
    if len(rates) < 2:
        return {"text_encoder_lr": rates[0]} if rates else {}
    if rates[2:]:
        notes.append(f"text_encoder_lr {rates[2]:g}: there is no third text encoder")
    notes.append(
        f"text_encoder_lr {rates[0]:g} {rates[1]:g}: one for each of SDXL's text encoders; networks.lora of sd-scripts "
        "trains both at the first"
    )
    return {"text_encoder_lr": rates[0], "text_encoder_2_lr": rates[1]}


def _accumulation_notes(stage: Stage) -> list[str]:
    if stage.steps is not None or stage.grad_accumulation_steps == 1:
        return []
    return [
        f"max_train_epochs {stage.epochs:g} with gradient_accumulation_steps {stage.grad_accumulation_steps}: batches "
        "run on over the end of an epoch here, where sd-scripts ends it with a step of what is left; up to one step an "
        "epoch fewer (25 batches, 4 a step, 10 epochs: 63 steps, there 70). Set steps for the same number"
    ]


def _objective(options: Options, taken: Mapping[str, Any]) -> ObjectiveSettings:
    """The objective. By default, sd-scripts uses no weighting and does not normalize by the area of masks."""
    is_masked = any(name in options for name in MASKS)  # these stay unread: the dataset has the masks
    values: dict[str, Any] = {"min_snr_gamma": None, **taken}
    return ObjectiveSettings(**values, is_mask_area_normalized=not is_masked)


def _length(options: Options) -> dict[str, Any]:
    epochs, steps = options.number("max_train_epochs"), options.integer("max_train_steps")
    return {"epochs": epochs} if epochs else {"steps": steps or DEFAULT_STEPS}


def _sorted_out(options: Options) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Remaining options as (options of other nodes, lost options)."""
    elsewhere: list[str] = []
    lost: list[str] = []
    for name, value in options.left_over().items():
        shown = name if value is True or name in SECRET else f"{name} {_shown(value)}"
        if name in ELSEWHERE:
            elsewhere.append(f"{shown}: {ELSEWHERE[name]}")
        else:
            lost.append(f"{shown}: {WITHOUT_EQUIVALENT.get(name, 'no equivalent')}")
    return tuple(elsewhere), tuple(lost)


def _shown(value: object) -> str:
    return " ".join(map(str, cast(list[Any], value))) if isinstance(value, list) else str(value)


def _export_objective(objective: ObjectiveSettings, notes: list[str]) -> list[str]:
    default = ObjectiveSettings()
    notes += [f"{name}: no equivalent" for name in ONLY_HERE if getattr(objective, name) != getattr(default, name)]
    return _export_fields(objective, "objective")


def _export_fields(settings: Any, owner: Owner) -> list[str]:
    """Options that only have another name, if they differ from sd-scripts' defaults."""
    defaults = {field.name: field.default for field in fields(settings)}
    defaults |= {"min_snr_gamma": None, "power": settings.power if owner == "schedule" else None}
    words: list[str] = []
    for option in OPTIONS:
        if option.owner != owner:
            continue
        value = getattr(settings, option.field)
        is_given = option.field == "learning_rate" or value != defaults[option.field]
        if is_given and value is not None:
            words.append(f"--{option.name}" if option.kind == "flag" else f"--{option.name}={_number(value)}")
    return words


def _export_rates(optimizer: OptimizerSettings) -> list[str]:
    """Options for learning rates; one per text encoder for SDXL if they differ."""
    words = _export_fields(optimizer, "optimizer")
    if optimizer.text_encoder_2_lr is None:
        return words
    first = optimizer.learning_rate if optimizer.text_encoder_lr is None else optimizer.text_encoder_lr
    rest = [word for word in words if not word.startswith("--text_encoder_lr")]
    return [*rest, f"--text_encoder_lr {_number(first)} {_number(optimizer.text_encoder_2_lr)}"]


def _export_stage(stage: Stage, notes: list[str]) -> list[str]:
    if stage.resolution:
        notes.append("resolution of a stage: set --resolution of its command")
    if stage.dataset:
        notes.append("dataset of a stage: set the folders of its command")
    words = _export_fields(stage, "stage")
    if stage.steps is None:
        if stage.epochs != int(stage.epochs):
            notes.append(f"epochs {stage.epochs:g}: sd-scripts trains whole epochs, {math.ceil(stage.epochs)} instead")
        return [*words, f"--max_train_epochs={math.ceil(stage.epochs)}"]
    return [*words, f"--max_train_steps={stage.steps}"]


def _with_loraplus(words: Sequence[str], ratio: float) -> list[str]:
    if ratio == 1.0:
        return list(words)
    argument = f'"{LORAPLUS}={ratio:g}"'
    return [*words, argument] if "--network_args" in words else [*words, "--network_args", argument]


def _number(value: object) -> str:
    return repr(value) if isinstance(value, float) else str(value)
