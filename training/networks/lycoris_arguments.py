"""Arguments of LyCORIS as people write them for kohya: `algo=tlora preset=attn-mlp use_tucker=True`.

What is a setting of every network here (sizes, dropouts, targets) goes there; the rest stays for the library's
modules, whose own constructors say what they take. So an algorithm that a later version brings needs nothing here.
"""

import dis
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from re import compile as regex
from typing import Any

from .lycoris_presets import NOTES, preset_fields, without_convolutions

Value = bool | int | float | str
DEFAULT_ALGO = "lora"
_OPTION = regex(r"^\s*(--)?network_args\b\s*=?")
_BETWEEN = regex(r"""[\s;"'\[\]\\]+|,(?=[\s"'\]]|\w+=|$)""")
"""What stands between arguments on a command line, in TOML or in a list of them."""
_EQUALS = regex(r"\s*=\s*")
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
    **dict.fromkeys(("lora_dim", "network_dim", "linear_dim", "dim"), "set rank of LoRA Network"),
    **dict.fromkeys(("network_alpha", "linear_alpha", "alpha"), "set alpha of LoRA Network"),
    **dict.fromkeys(
        ("down_lr_weight", "mid_lr_weight", "up_lr_weight", "block_dims", "block_alphas", "conv_block_dims"),
        "set it on Block Weights",
    ),
    "scale_weight_norms": "set it on Loss & Noise",
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
        if name in _unread(algo) and options[name]:
            raise ValueError(f"lycoris_arguments: algo={algo} accepts {written} and does nothing with it; leave it out")
    _check_dora(options)
    return LycorisArguments(algo, options)


def takes(algo: str, written: str) -> bool:
    """Whether the library's module of an algorithm takes an argument, as people write it, and reads it.

    Raises:
        ValueError: There is no such algorithm.
    """
    name = "use_tucker" if written == "disable_conv_cp" else _RENAMED.get(written, written)
    return name in _taken(algo).keys() - _unread(algo)


def _taken(algo: str) -> dict[str, object]:
    """Arguments of the algorithm's constructor that are not given otherwise, with their defaults."""
    parameters = inspect.signature(module_class(algo).__init__).parameters
    return {name: one.default for name, one in parameters.items() if name not in _GIVEN_OTHERWISE}


def _unread(algo: str) -> set[str]:
    """Arguments that the algorithm's constructor accepts like those of its siblings, and never looks at."""
    read: set[str] = set()
    for one in dis.get_instructions(module_class(algo).__init__):
        loaded: Any = one.argval
        if one.opname.startswith("LOAD_FAST"):
            read |= {*loaded} if isinstance(loaded, tuple) else {loaded}  # two since Python 3.13
    return _taken(algo).keys() - read


def split_fields(text: str) -> tuple[str, dict[str, Any]]:
    """The text without what is a setting of the network here, and those settings by field.

    Raises:
        ValueError: A part is no `name=value`, or a value is none of its kind.
    """
    kept: list[str] = []
    fields: dict[str, Any] = {}
    for name, value in _pairs(text).items():
        if name == "preset":
            fields |= preset_fields(value)
        elif name in _FIELDS:
            field, kind = _FIELDS[name]
            fields[field] = _flag(name, value) if kind is bool else _number(name, value, kind)
        else:
            kept.append(f"{name}={value}")
    return " ".join(kept), without_convolutions(fields) if fields.get("conv_rank") == 0 else fields


def preset_note(text: str) -> str:
    """What the preset of a text trains otherwise than the library; empty if it is the same or there is none."""
    preset = _pairs(text).get("preset", "")
    return f"preset={preset}: {NOTES[preset]}" if preset in NOTES else ""


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
    for part in _BETWEEN.sub(" ", _EQUALS.sub("=", _OPTION.sub("", text))).split():
        name, equals, value = part.partition("=")
        if not equals or not name or not value:
            raise ValueError(f"lycoris_arguments must be name=value with spaces between, got {part!r}")
        if name in found:
            raise ValueError(f"lycoris_arguments: {name} is given twice; leave one")
        found[name] = value
    return found


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
    if isinstance(default, int | float):  # a default of 0 may be a limit, such as constraint=0.001
        return _number(name, text, int if _is_whole(text) or (isinstance(default, int) and default) else float)
    return text


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise ValueError(f"lycoris_arguments: {name} must be True or False, got {text}")
    return text.lower() in ("true", "1")


def _number(name: str, text: str, kind: type[Any]) -> Any:
    try:
        return kind(text)
    except ValueError:
        kind_name = "whole number" if kind is int else "number"
        raise ValueError(f"lycoris_arguments: {name} must be a {kind_name}, got {text}") from None


def _is_whole(text: str) -> bool:
    return text.removeprefix("-").isdecimal()
