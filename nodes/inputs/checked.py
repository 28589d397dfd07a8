"""Checks a node's inputs when it runs: ComfyUI checks a widget's value, but a link may bring anything."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isfinite
from numbers import Integral, Real
from typing import Any

from torch import Tensor

from ...training.data.dataset import Dataset
from ...training.files.words import is_unicode, shown_name
from ...training.loop.stages import Stage
from ...training.networks.settings import NetworkSettings
from ...training.objective.settings import ObjectiveSettings
from ...training.optimizers.settings import OptimizerSettings
from ...training.run.folder import RunFolder
from ...training.watch.previews import PreviewSettings

MAX_WHOLE = 2**31
"""Limit of inputs that declare none, or a larger one as seeds do: no count of pixels, steps or ranks is larger."""
LISTED_AT_RUN_TIME = frozenset({"folder", "lora_name"})
"""Choices that are files or folders: a link may name one that is not listed, and the node checks it itself."""
MAX_DIGITS, MAX_LISTED = 30, 20
"""Limits of what a message repeats."""


@dataclass(frozen=True, slots=True)
class Kind:
    """The values of one socket type."""

    wanted: str
    is_one: Callable[[Any], bool]


def _has(*names: str) -> Callable[[Any], bool]:
    return lambda value: all(hasattr(value, name) for name in names)


def _is_picture(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.ndim in (3, 4) and value.numel() > 0


def _is_mask(value: Any) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point() and value.ndim in (2, 3, 4) and value.numel() > 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and is_unicode(value)


def _is_whole(value: Any) -> bool:
    return _is_number(value) and value == int(value)


def _is_number(value: Any) -> bool:
    """False for NaN, infinity, and integers too large for a float."""
    try:
        return isinstance(value, Real) and isfinite(value)
    except OverflowError:
        return False


def _is_tensors(value: Any) -> bool:
    return isinstance(value, Mapping) and all(isinstance(key, str) for key in value)


def _is_stages(value: Any) -> bool:
    return isinstance(value, (tuple, list)) and all(isinstance(stage, Stage) for stage in value)


KINDS: Mapping[str, Kind] = {
    "INT": Kind("a whole number", _is_whole),
    "FLOAT": Kind("a finite number", _is_number),
    "STRING": Kind("a text in valid Unicode", _is_text),
    "COMBO": Kind("a text, one of its choices", _is_text),
    "BOOLEAN": Kind("true or false", lambda value: isinstance(value, Integral) and value in (0, 1)),
    "IMAGE": Kind("an IMAGE: numbers of batch, height, width, channels", _is_picture),
    "MASK": Kind("a MASK: numbers of batch, height, width", _is_mask),
    "MODEL": Kind("a MODEL", _has("model", "clone", "patches")),
    "CLIP": Kind("a CLIP", _has("cond_stage_model", "tokenize", "patcher")),
    "VAE": Kind("a VAE", _has("encode", "decode")),
    "CLIP_VISION": Kind("a CLIP_VISION", _has("encode_image")),
    "BAKERY_DATASET": Kind("a dataset of Load Dataset or another dataset node", lambda v: isinstance(v, Dataset)),
    "BAKERY_NETWORK": Kind("settings of LoRA Network", lambda value: isinstance(value, NetworkSettings)),
    "BAKERY_OPTIMIZER": Kind("settings of Optimizer", lambda value: isinstance(value, OptimizerSettings)),
    "BAKERY_OBJECTIVE": Kind("settings of Objective", lambda value: isinstance(value, ObjectiveSettings)),
    "BAKERY_STAGES": Kind("stages of Stage or Recipe", _is_stages),
    "BAKERY_PREVIEW": Kind("settings of LoRA Preview", lambda value: isinstance(value, PreviewSettings)),
    "BAKERY_RUN": Kind("a run of Train LoRA", lambda value: isinstance(value, RunFolder)),
    "LORA_MODEL": Kind("a LoRA: tensors by name", _is_tensors),
}
"""By ComfyUI's name of the type."""


def check_inputs(inputs: list[Any], values: Mapping[str, Any], is_list: bool) -> dict[str, Any]:
    """The values, whole numbers as `int`; None means not given for an optional input without default.

    Raises:
        ValueError: A value is invalid; names input, wanted, got.
    """
    checked = dict(values)
    for wanted in inputs:
        kind = KINDS.get(wanted.get_io_type())
        given = values.get(wanted.id)
        can_be_none = wanted.optional and getattr(wanted, "default", None) is None
        if kind is None or wanted.id not in values:
            continue
        several = given if is_list and isinstance(given, list) else [given]
        filled = [_checked(kind, wanted, value) for value in several if value is not None or not can_be_none]
        if not filled and not can_be_none:
            raise ValueError(f"{wanted.id} must be {kind.wanted}, got an empty list")
        checked[wanted.id] = filled if is_list else next(iter(filled), None)
        if checked[wanted.id] is None:
            del checked[wanted.id]
    return checked


def _checked(kind: Kind, wanted: Any, value: Any) -> Any:
    name = wanted.id
    try:
        is_right = kind.is_one(value)
    except Exception as error:  # a foreign object may raise anything when it is inspected
        raise ValueError(f"{name} must be {kind.wanted}, got what cannot be read ({type(error).__name__})") from None
    if not is_right:
        raise ValueError(f"{name} must be {kind.wanted}, got {_shown(value)}")
    if kind is KINDS["COMBO"]:
        return _choice(wanted, value)
    if kind is not KINDS["INT"]:
        return value
    limit = max(MAX_WHOLE, getattr(wanted, "max", None) or 0)
    if abs(value) > limit:
        raise ValueError(f"{name} must be a whole number of at most {limit}, got {_shown(value)}")
    return int(value)


def _choice(wanted: Any, value: str) -> str:
    if wanted.id not in LISTED_AT_RUN_TIME and value not in wanted.options:
        known = ", ".join([*wanted.options[:MAX_LISTED], *["..."] * (len(wanted.options) > MAX_LISTED)])
        raise ValueError(f"{wanted.id} must be one of {known}, got {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, str):
        return shown_name(value)
    if isinstance(value, (bool, float)):
        return str(value)
    if isinstance(value, int):
        return str(value) if abs(value) < 10**MAX_DIGITS else f"a number of more than {MAX_DIGITS} digits"
    return f"a value of type {type(value).__name__}"
