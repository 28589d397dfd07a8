"""An optimizer's exact state as flat tensors and JSON, and back.

Saves what a step changes: the state of every parameter, and entries of a group that are not settings, such as Prodigy's
d. Settings come from the optimizer that loads the state, so the next stage can use another learning rate.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor

from .build import accepted_arguments
from .modes import has_evaluation_weights

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"

_OWN_ENTRIES = {"params", "lr", "initial_lr", "label", "base_lr", "names"}


def optimizer_state(optimizer: torch.optim.Optimizer) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Everything needed to resume bit for bit: tensors by name, copied to the CPU, and JSON that refers to them."""
    assert not has_evaluation_weights(optimizer), "the state belongs to the training weights"
    tensors: dict[str, Tensor] = {}
    groups = [
        _pack({name: group[name] for name in _changing_entries(optimizer, group)}, f"group.{index}", tensors)
        for index, group in enumerate(optimizer.param_groups)
    ]
    parameters = {
        name: _pack(dict(optimizer.state.get(parameter, {})), f"parameter.{name}", tensors)
        for _, name, parameter in _parameters(optimizer)
    }
    return tensors, {"optimizer": type(optimizer).__name__, "groups": groups, "parameters": parameters}


def load_optimizer_state(
    optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor], data: Mapping[str, Any]
) -> None:
    """Load a state from `optimizer_state` onto the parameters' devices.

    Parameter groups may differ, for instance if the next stage has other learning rates. Parameters are matched by
    name; one that was not trained before starts with fresh state. A group without a counterpart takes the first one's.

    Raises:
        ValueError: If it belongs to another optimizer, or to another network.
    """
    saved: Mapping[str, Any] = data["parameters"]
    if type(optimizer).__name__ != data["optimizer"]:
        raise ValueError(
            f"optimizer state must be of {type(optimizer).__name__}, got one of {data['optimizer']}; "
            "turn keep_optimizer_state off or use the same optimizer"
        )
    if not any(name in saved for _, name, _ in _parameters(optimizer)):
        raise ValueError("optimizer state must be of this network, got one that knows none of its parameters")
    groups: Sequence[Any] = data["groups"]
    is_same_cut = len(groups) == len(optimizer.param_groups)
    for index, group in enumerate(optimizer.param_groups):
        group.update(_unpack(groups[index if is_same_cut else 0], tensors, group["params"][0].device))
    for group, name, parameter in _parameters(optimizer):
        state = _unpack(saved.get(name, {"dict": {}}), tensors, parameter.device)
        if state:
            optimizer.state[parameter] = _steps_on_cpu(group, state)


def _parameters(optimizer: torch.optim.Optimizer) -> list[tuple[dict[str, Any], str, Tensor]]:
    return [
        (group, name, parameter)
        for group in optimizer.param_groups
        for name, parameter in zip(group["names"], group["params"], strict=True)
    ]


def _changing_entries(optimizer: torch.optim.Optimizer, group: Mapping[str, Any]) -> list[str]:
    return [name for name in group if name not in accepted_arguments(type(optimizer)) | _OWN_ENTRIES]


def _pack(value: Any, name: str, tensors: dict[str, Tensor]) -> Json:
    """JSON of a value made of dicts, sequences, numbers and tensors; tensors go into `tensors` by path.

    Raises:
        TypeError: For anything else, since a state must be saved completely or not at all.
    """
    if isinstance(value, Tensor):
        tensors[name] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"float": repr(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        entries = cast(Mapping[str, Any], value)
        return {"dict": {key: _pack(item, f"{name}.{key}", tensors) for key, item in entries.items()}}
    if isinstance(value, tuple | list):
        sequence = cast(Sequence[Any], value)
        items = [_pack(item, f"{name}.{index}", tensors) for index, item in enumerate(sequence)]
        return {"tuple": items} if isinstance(value, tuple) else items
    raise TypeError(f"cannot save {name} of type {type(value).__name__} in an optimizer state")


def _unpack(value: Json, tensors: Mapping[str, Tensor], device: torch.device) -> Any:
    """Inverse of `_pack`; tensors are copied to the device."""
    if isinstance(value, list):
        return [_unpack(item, tensors, device) for item in value]
    if not isinstance(value, dict):
        return value
    kind, content = next(iter(value.items()))
    if isinstance(content, dict):
        return {key: _unpack(item, tensors, device) for key, item in content.items()}
    if isinstance(content, list):
        return tuple(_unpack(item, tensors, device) for item in content)
    return tensors[str(content)].to(device, copy=True) if kind == "tensor" else float(str(content))


def _steps_on_cpu(group: Mapping[str, Any], state: dict[str, Any]) -> dict[str, Any]:
    """Move step counters to the CPU, where torch's optimizers want them unless the whole step runs on the device."""
    step = state.get("step")
    if isinstance(step, Tensor) and not (group.get("capturable") or group.get("fused")):
        return {**state, "step": step.cpu()}
    return state
