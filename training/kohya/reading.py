"""Reads settings of sd-scripts from text: a command line, a TOML config file, or JSON (also its GUI's)."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from re import compile as regex
from typing import Any, cast

from .options import Options

_COMMAND = regex(r"(?:^|\s)--[A-Za-z]")
_CONTINUATION = regex(r"[\\^`][ \t]*\r?\n")

MAX_DEPTH = 12
"""Maximum nesting of tables; sd-scripts has three levels."""
TABLES = ("network_args", "optimizer_args", "lr_scheduler_args")
"""Options whose value may be a table; other tables are sections."""

OTHER_NAMES: Mapping[str, str] = {
    "optimizer": "optimizer_type",
    "epoch": "max_train_epochs",
    "caption_extention": "caption_extension",
    "max_resolution": "resolution",
    "lr_scheduler_cycles": "lr_scheduler_num_cycles",
}
"""Names in files of sd-scripts' GUI, and an old misspelling -> sd-scripts' own."""


@dataclass(frozen=True, slots=True)
class KohyaText:
    """The options that were read."""

    options: Options
    launcher: str = ""
    """Program and its own options before the script, such as `accelerate launch`."""


def read_kohya(text: str) -> KohyaText:
    """Read options by name from any of the forms.

    Raises:
        ValueError: The text has none of the forms, or is TOML on a Python that cannot read it.
    """
    table = parse_table(text)
    return _command_line(text.strip()) if table is None else KohyaText(Options(_renamed(_flat(table))))


def parse_table(text: str) -> Mapping[str, Any] | None:
    """A TOML or JSON text as a table, sections included; None for a command line.

    Raises:
        ValueError: The text has none of the forms, or is TOML on a Python that cannot read it.
    """
    text = text.strip()
    if not text:
        raise ValueError("text is empty: paste a command line, TOML or JSON of sd-scripts")
    if not text.startswith("{") and _is_command(text):
        return None
    try:
        table = _json(text) if text.startswith("{") else _toml(text)
    except RecursionError:
        raise _too_deep() from None
    _check_depth(table)
    return table


def _check_depth(table: Mapping[str, Any]) -> None:
    level: list[Any] = [table]
    for _ in range(MAX_DEPTH):
        level = [one for value in level for one in _within(value)]
    if level:
        raise _too_deep()


def _within(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return list(cast(Mapping[str, Any], value).values())
    return cast(list[Any], value) if isinstance(value, list) else []


def _too_deep() -> ValueError:
    return ValueError(f"text must not have tables or lists more than {MAX_DEPTH} deep; sd-scripts reads three")


def _is_command(text: str) -> bool:
    return bool(_COMMAND.search("\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))))


def _json(text: str) -> dict[str, Any]:
    try:
        return json.loads(text)
    except ValueError as error:  # also for a number with thousands of digits
        raise ValueError(f"text starts like JSON but is not: {error}") from None


def _toml(text: str) -> dict[str, Any]:
    try:
        tomllib = import_module("tomllib")
    except ModuleNotFoundError:
        raise ValueError(
            "text must be a command line or JSON on this Python, which cannot read TOML (3.11 and newer can); write "
            "name = value as --name=value"
        ) from None
    try:
        return tomllib.loads(text)
    except ValueError as error:
        raise ValueError(f"text must be a command line, TOML or JSON of sd-scripts; read as TOML: {error}") from None


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    """Merge the sections, which have no meaning; lists of tables (datasets) stay as they are."""
    flat: dict[str, Any] = {}
    for name, value in config.items():
        is_section = isinstance(value, dict) and name not in TABLES
        flat |= _flat(cast(dict[str, Any], value)) if is_section else {name: value}
    return flat


def _renamed(values: Mapping[str, Any]) -> dict[str, Any]:
    return {OTHER_NAMES.get(name, name): value for name, value in values.items()}


def _command_line(text: str) -> KohyaText:
    lexer = shlex.shlex(_CONTINUATION.sub(" ", text), posix=True)
    lexer.whitespace_split, lexer.escape, lexer.commenters = True, "", "#"
    try:
        words = list(lexer)
    except ValueError as error:
        raise ValueError(f"text must be a command line, got one that does not end: {error}") from None
    script = max((index for index, word in enumerate(words) if word.endswith(".py")), default=-1)
    first = next((index for index, word in enumerate(words) if index > script and word.startswith("--")), len(words))
    values: dict[str, list[str]] = {}
    current: list[str] = []
    for word in words[first:]:
        if word.startswith("--"):
            name, _, value = word[2:].partition("=")
            current = values[name] = [value] if value else []
        else:
            current.append(word)
    flags = {name: found or True for name, found in values.items()}
    return KohyaText(Options(_renamed(flags)), " ".join(words[:first]))
