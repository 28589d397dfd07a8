"""Arguments of LyCORIS as people write them for kohya: `algo=tlora preset=attn-mlp use_tucker=True`.

What is a setting of every network here (sizes, dropouts, targets) goes there; the rest stays for the library's
modules, whose own constructors say what they take. So an algorithm that a later version brings needs nothing here.
"""

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .settings import TargetPreset

Value = bool | int | float | str
DEFAULT_ALGO = "lora"
PRESETS: "Mapping[str, TargetPreset]" = {
    "full": "blocks",
    "attn-mlp": "attention_feed_forward",
    "attn-only": "attention",
}
"""Presets of the library, and the targets that they are."""
_RENAMED = {
    "use_conv_cp": "use_tucker",
    "use_cp": "use_tucker",
    "constrain": "constraint",
    "dora_wd": "weight_decompose",
    "wd_on_output": "wd_on_out",
}
"""As people write it, and as the constructors call it."""
_FIELDS: Mapping[str, tuple[str, type[Value]]] = {
    "conv_dim": ("conv_rank", int),
    "conv_alpha": ("conv_alpha", float),
    "dropout": ("dropout", float),
    "rank_dropout": ("rank_dropout", float),
    "module_dropout": ("module_dropout", float),
    "rs_lora": ("rank_stabilized", bool),
    "train_norm": ("train_norms", bool),
}
"""What is a setting of the network here, with its type."""
_GIVEN_OTHERWISE = frozenset(
    {"self", "lora_name", "org_module", "multiplier", "lora_dim", "alpha", "kwargs", "algo", *_FIELDS}
)
REFUSED: Mapping[str, str] = {
    "full": "the library puts it in the base weight's place; choose algorithm full, which trains the same",
    "dylora": "its files have another scale than it trains with; choose algorithm dylora, which trains the same",
}
_ELSEWHERE: Mapping[str, str] = {
    "loraplus_lr_ratio": "set loraplus_ratio on Optimizer",
    "loraplus_unet_lr_ratio": "set loraplus_ratio on Optimizer",
    "loraplus_text_encoder_lr_ratio": "set loraplus_ratio on Optimizer",
    "train_t5xxl": "SD1.5 and SDXL have no such encoder",
    "train_llm_adapter": "SD1.5 and SDXL have no such part",
}


@dataclass(frozen=True, slots=True)
class LycorisArguments:
    """What the library is told."""

    algo: str
    options: Mapping[str, Value]
    """Keyword arguments of the algorithm's constructor."""


def parsed(text: str) -> LycorisArguments:
    """The arguments of a text without those that are settings of the network.

    Raises:
        ValueError: A part is no `name=value`, is given twice, or is not known to the installed library.
    """
    given = _pairs(text)
    algo = given.pop("algo", DEFAULT_ALGO).lower()
    taken = _taken(algo)
    options: dict[str, Value] = {}
    for written, value in given.items():
        name = _RENAMED.get(written, written)
        if written == "disable_conv_cp":
            name, value = "use_tucker", str(not _flag(written, value))
        if name not in taken:
            raise ValueError(_not_taken(written, algo, sorted(taken)))
        options[name] = _typed(written, value, taken[name])
    _check_dora(options)
    return LycorisArguments(algo, options)


def takes(algo: str, written: str) -> bool:
    """Whether the library's module of an algorithm takes an argument, as people write it.

    Raises:
        ValueError: There is no such algorithm.
    """
    return written == "disable_conv_cp" or _RENAMED.get(written, written) in _taken(algo)


def _taken(algo: str) -> dict[str, object]:
    """Arguments of the algorithm's constructor that are not given otherwise, with their defaults."""
    parameters = inspect.signature(module_class(algo).__init__).parameters
    return {name: one.default for name, one in parameters.items() if name not in _GIVEN_OTHERWISE}


def split_fields(text: str) -> tuple[str, dict[str, Any]]:
    """The text without what is a setting of the network here, and those settings by field.

    Raises:
        ValueError: A part is no `name=value`, or a value is none of its kind.
    """
    kept: list[str] = []
    fields: dict[str, Any] = {}
    for name, value in _pairs(text).items():
        if name == "preset":
            fields["targets"] = _targets(value)
        elif name in _FIELDS:
            field, kind = _FIELDS[name]
            fields[field] = _flag(name, value) if kind is bool else _number(name, value, kind)
        else:
            kept.append(f"{name}={value}")
    return " ".join(kept), fields


def module_class(algo: str) -> Any:
    """The library's module of an algorithm.

    Raises:
        ValueError: The installed library has none of that name, or it cannot be trained here.
    """
    # Imported here: it is slow to import, and only those who choose it need it.
    modules: Mapping[str, Any] = import_module("lycoris.wrapper").network_module_dict
    if algo not in modules:
        known = ", ".join(name for name in modules if name not in REFUSED)
        raise ValueError(f"lycoris_arguments: algo must be one of the installed LyCORIS ({known}), got {algo}")
    if algo in REFUSED:
        raise ValueError(f"lycoris_arguments: algo={algo} cannot be trained by the library here: {REFUSED[algo]}")
    return modules[algo]


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in text.replace('"', " ").replace("'", " ").split():
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"lycoris_arguments must be name=value with spaces between, got {part!r}")
        if name in found:
            raise ValueError(f"lycoris_arguments: {name} is given twice; leave one")
        found[name] = value
    return found


def _targets(preset: str) -> "TargetPreset":
    if preset not in PRESETS:
        raise ValueError(
            f"lycoris_arguments: preset must be one of {', '.join(PRESETS)}, got {preset}; targets, include and "
            "exclude choose other layers"
        )
    return PRESETS[preset]


def _not_taken(name: str, algo: str, taken: list[str]) -> str:
    if name in _ELSEWHERE:
        return f"lycoris_arguments: {name}: {_ELSEWHERE[name]}"
    return f"lycoris_arguments: algo={algo} does not take {name}; it takes {', '.join(taken)}"


def _check_dora(options: Mapping[str, Value]) -> None:
    if options.get("weight_decompose") and options.get("wd_on_out"):
        raise ValueError(
            "lycoris_arguments: wd_on_output=True makes files that ComfyUI and Forge read otherwise than they were "
            "trained; leave it out"
        )


def _typed(name: str, text: str, default: object) -> Value:
    """A value of the type of the constructor's default; where that is None, True and False or text."""
    if isinstance(default, bool) or (default is None and text.lower() in ("true", "false")):
        return _flag(name, text)
    if isinstance(default, int | float):
        return _number(name, text, int if _is_whole(text) else float)
    return text


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"lycoris_arguments: {name} must be True or False, got {text}")
    return text.lower() in ("true", "1")


def _number(name: str, text: str, kind: type[Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f"lycoris_arguments: {name} must be a number, got {text}") from None


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
