"""The change of a weight from one module's tensors in a LoRA file, by its form's formula (`networks/`)."""

from collections.abc import Sequence

import torch
from torch import Size, Tensor

from ..files.types import is_finite
from ..networks import bias, dora
from ..networks.algorithms import FORMS, form_of
from ..networks.form import Tensors

Parts = Tensors


def algorithm_of(parts: Parts) -> str:
    """Name of the module's form: lora, loha, lokr, glora, oft, ...; `unknown` if none matches."""
    form = form_of(parts)
    return "unknown" if form is None else form.name


def check_module(name: str, parts: Parts) -> None:
    """Refuse a broken module before its NaN spreads.

    Raises:
        ValueError: It contains NaN or infinity, is of unknown form, lacks a tensor, or its factors do not match.
    """
    if form_of(parts) is None:
        raise ValueError(f"lora: {name} is of no known kind ({', '.join(sorted(parts))}); download the file again")
    check_complete(name, parts)
    check_read(name, parts)
    check_finite(name, parts)


def unread(parts: Parts) -> list[str]:
    """Tensors of a module that its form's formula does not use, so that a result would lack their effect."""
    form = form_of(parts)
    read = {"alpha", "dora_scale", *bias.NAMES, *(() if form is None else form.tensors)}
    return sorted(parts.keys() - read)


def check_read(name: str, parts: Parts, also: Sequence[str] = ()) -> None:
    """Refuse a module with a tensor that is used neither by its formula nor by `also`.

    Raises:
        ValueError: There is one.
    """
    if left := [suffix for suffix in unread(parts) if suffix not in also]:
        raise ValueError(
            f"lora: {name} holds {', '.join(left)}, which {algorithm_of(parts)} does not read; the result would lack it"
        )


def check_finite(name: str, parts: Parts) -> None:
    """Refuse a module that would make all of a model's results NaN.

    Raises:
        ValueError: It contains NaN or infinity.
    """
    if not is_sound(parts):
        raise ValueError(f"lora: {name} holds NaN or infinity, the file is broken; take an earlier step of it")


def is_sound(parts: Parts) -> bool:
    """Whether no tensor that matters contains NaN or infinity."""
    form = form_of(parts)
    idle = frozenset[str]() if form is None else form.idle(parts)
    return all(is_finite(tensor) for suffix, tensor in parts.items() if suffix not in idle)


def check_complete(name: str, parts: Parts) -> None:
    """Refuse an incomplete module.

    Raises:
        ValueError: It lacks a tensor, or its factors do not match.
    """
    form = form_of(parts)
    if form is None:
        return
    if lacking := form.lacking(parts):
        raise ValueError(f"lora: {name} lacks {', '.join(lacking)}, the file is broken; download it again")
    if empty := [suffix for suffix, tensor in parts.items() if not tensor.numel()]:
        raise ValueError(f"lora: {name} has no numbers in {', '.join(empty)}; download the file again")
    try:
        fault = form.fault(parts)
    except IndexError:
        fault = "has a factor without rows and columns"
    if fault:
        raise ValueError(f"lora: {name} {fault}; download the file again")


def needs_weight(parts: Parts) -> bool:
    """Whether the change depends on the base weight, so that the file alone does not determine it."""
    form = form_of(parts)
    return "dora_scale" in parts or (form is not None and form.needs_weight)


def delta_weight(parts: Parts, weight: Tensor | None = None, shape: Size | None = None) -> Tensor:
    """The change of the weight at strength 1, (O, I, *K).

    It has the dtype of `weight`, else float32 (float64 stays). Without `weight`, pass its `shape` if known: a
    convolution that a file stores flattened does not show its kernel.

    Raises:
        ValueError: The algorithm is unknown, or needs the base weight and none is given.
    """
    form = form_of(parts)
    if weight is None and needs_weight(parts):
        what = "dora_scale" if "dora_scale" in parts else algorithm_of(parts)
        raise ValueError(
            f"weight: a change by {what} depends on the base model's weight; give the model it was made for"
        )
    if form is None or form.delta is None:
        known = ", ".join(form.name for form in FORMS if form.delta)
        raise ValueError(f"algorithm must be one of {known}, got tensors {', '.join(sorted(parts))}")
    values = {suffix: as_float(tensor, weight) for suffix, tensor in parts.items()}
    delta = form.delta(values, weight)
    target = weight.shape if weight is not None else shape
    if target is not None:
        if target.numel() != delta.numel():
            raise ValueError(
                f"shape of the change must be {tuple(target)}, got {tuple(delta.shape)}; another base model?"
            )
        delta = delta.reshape(target)
    if "dora_scale" in values and weight is not None:
        return dora.change(weight, delta, values["dora_scale"])
    return delta


def bias_change(parts: Parts) -> Tensor | None:
    """The change of the bias at strength 1, (O,), or None."""
    found = bias.change(parts)
    return None if found is None else as_float(found)


def as_float(tensor: Tensor, weight: Tensor | None = None) -> Tensor:
    """Convert to the dtype and device of a weight; without one to float32, unless it is float64."""
    if weight is not None:
        return tensor.to(weight.device, weight.dtype)
    return tensor if tensor.dtype == torch.float64 else tensor.float()
