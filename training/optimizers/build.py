"""Builds a torch optimizer from settings and parameter groups, and sets its learning rates during training."""

import inspect
import math
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from .arguments import Value, check_arguments, parse_arguments
from .catalog import OptimizerClass, OptimizerSpec, find_optimizer
from .groups import TrainableGroup
from .modes import use_training_weights
from .rates import check_one_rate, check_rates, group_label, group_rate
from .settings import OptimizerSettings

_SET_ELSEWHERE = {"self", "params", "lr"}


def check_optimizer(settings: OptimizerSettings) -> OptimizerSettings:
    """Return the settings if an optimizer can be built from them, whatever the network is.

    Raises:
        ValueError: A package is missing, an argument is unknown or out of range, or a learning rate cannot work.
    """
    spec = find_optimizer(settings.optimizer)
    optimizer_class = spec.load()
    arguments = optimizer_arguments(settings, spec, optimizer_class)
    check_rates(settings, spec, needs_one_rate=_needs_one_rate(spec, arguments))
    rate = None if arguments.get("relative_step") else settings.learning_rate
    _construct(spec, optimizer_class, [{"params": [nn.Parameter(torch.zeros(2, 2))], "lr": rate}], arguments)
    return settings


def no_decay_note(settings: OptimizerSettings) -> str:
    """A note that `weight_decay` has no effect: the library's Prodigy adds it to gradients that it has read already."""
    spec = find_optimizer(settings.optimizer)
    arguments = optimizer_arguments(settings, spec, spec.load())
    if spec.name != "Prodigy" or not settings.weight_decay or arguments.get("weight_decouple", True):
        return ""
    return (
        f"weight_decay {settings.weight_decay:g} has no effect with decouple=False, by a fault of the library's "
        "Prodigy; leave decouple out"
    )


def build_optimizer(settings: OptimizerSettings, groups: Sequence[TrainableGroup]) -> torch.optim.Optimizer:
    """The optimizer over all groups whose learning rate is above 0, each with `base_lr`, `label` and `names`.

    Raises:
        ValueError: A package is missing, an argument is unknown, a learning rate cannot work, or nothing would be
        trained.
    """
    spec = find_optimizer(settings.optimizer)
    optimizer_class = spec.load()
    arguments = optimizer_arguments(settings, spec, optimizer_class)
    finds_rate = bool(arguments.get("relative_step"))
    needs_one_rate = _needs_one_rate(spec, arguments)
    check_rates(settings, spec, needs_one_rate)
    rated = [(group, group_rate(settings, group)) for group in groups]
    rated = [(group, rate) for group, rate in rated if rate > 0 and group.parameters]
    if not rated:
        raise ValueError("nothing to train: every part has rate 0 or no module; raise unet_lr or text_encoder_lr")
    if needs_one_rate:
        check_one_rate(spec, rated)
    merged: dict[tuple[str, float], dict[str, nn.Parameter]] = {}
    for group, rate in rated:
        label = "network" if needs_one_rate else group_label(settings, group)
        merged.setdefault((label, rate), {}).update(group.parameters)
    rated_parameters = [
        {"params": [*named.values()], "lr": None if finds_rate else rate} for (_, rate), named in merged.items()
    ]
    optimizer = _construct(spec, optimizer_class, rated_parameters, arguments)
    for group, ((label, rate), named) in zip(optimizer.param_groups, merged.items(), strict=True):
        group["label"] = label
        group["base_lr"] = None if finds_rate else rate
        group["names"] = [*named]
    use_training_weights(optimizer)
    return optimizer


def _construct(
    spec: OptimizerSpec, optimizer_class: OptimizerClass, groups: list[dict[str, Any]], arguments: Mapping[str, Any]
) -> torch.optim.Optimizer:
    try:
        return optimizer_class(groups, **arguments)
    except (TypeError, ValueError, AssertionError, IndexError) as error:  # each library has its own
        given = ", ".join(f"{name}={value}" for name, value in arguments.items())
        raise ValueError(f"arguments: {spec.name} cannot be built with {given}: {error}") from error


def optimizer_arguments(
    settings: OptimizerSettings, spec: OptimizerSpec, optimizer_class: OptimizerClass
) -> dict[str, Any]:
    """Keyword arguments for the class, without parameters and learning rate.

    Raises:
        ValueError: An argument that the class does not take; the message lists those it takes.
    """
    accepted = accepted_arguments(optimizer_class)
    given = {spec.aliases.get(name, name): value for name, value in parse_arguments(settings.arguments).items()}
    check_arguments(given, accepted, spec.name)
    _check_eps(given)
    decay = {"weight_decay": settings.weight_decay} if "weight_decay" in accepted else {}
    return {**decay, **spec.defaults, **given}


def _check_eps(arguments: Mapping[str, Value]) -> None:
    """Refuse an eps that is 0 in float32: the down matrices' first gradients are 0, and 0 / 0 is no number."""
    smallest = torch.finfo(torch.float32).tiny
    for name, value in arguments.items():
        values = cast("tuple[Value, ...]", value) if isinstance(value, tuple) else (value,)
        if name.startswith("eps") and any(isinstance(one, (int, float)) and not one >= smallest for one in values):
            raise ValueError(
                f"arguments: {name} must be above {smallest:.2g}, got {value}: the first gradients of a network are "
                "partly 0, and 0 / 0 is not a number; leave it out, or use 1e-8"
            )


def _needs_one_rate(spec: OptimizerSpec, arguments: dict[str, Any]) -> bool:
    """True if the optimizer finds the step size itself; Adafactor does with relative_step."""
    return spec.is_adaptive or bool(arguments.get("relative_step"))


def accepted_arguments(optimizer_class: OptimizerClass) -> set[str]:
    """Names of arguments a user may set; the learning rate has fields of its own."""
    parameters = inspect.signature(optimizer_class.__init__).parameters.values()
    named = {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
    return named - _SET_ELSEWHERE


def set_rates(optimizer: torch.optim.Optimizer, multiplier: float) -> None:
    """Set every group's learning rate to base rate times multiplier, unless the optimizer finds its own."""
    for group in optimizer.param_groups:
        if group["base_lr"] is not None:
            group["lr"] = group["base_lr"] * multiplier


def effective_rates(optimizer: torch.optim.Optimizer) -> dict[str, float]:
    """Learning rate in effect, by group label: d x lr for adaptive optimizers, the found one for Adafactor."""
    return {group["label"]: _effective_rate(optimizer, group) for group in optimizer.param_groups}


def _effective_rate(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> float:
    if group["lr"] is not None:
        return float(group["lr"]) * float(group.get("d", 1.0))
    state = optimizer.state.get(group["params"][0], {})
    step = max(int(state.get("step", 0)), 1)
    relative = min(1e-6 * step if group["warmup_init"] else 1e-2, 1.0 / math.sqrt(step))
    return relative * max(group["eps"][1], float(state.get("RMS", 0.0))) if group["scale_parameter"] else relative
