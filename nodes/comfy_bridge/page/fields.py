"""Checks for the fields of requests; each route declares its own. Invalid values are refused by field name.

A `Check` takes the field's name and value and returns the value, or raises ValueError.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from re import compile as regex
from typing import Any, Final, NoReturn

from ....training.files.words import is_absolute, is_unicode, shown_name
from ..host.folders import MAX_NAME_BYTES

REQUIRED: Final = object()
OPTIONAL: Final = object()
"""As a default: a field that is missing is left out of the result."""
_SHOWN = 40
_CONTROL = regex(r"[\x00-\x1f\x7f]")
_FORBIDDEN_ON_WINDOWS = regex(r'[<>:"|?*]')

Check = Callable[[str, Any], Any]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a body or query, and its default."""

    check: Check
    default: Any = REQUIRED


Fields = Mapping[str, Field]


def read_fields(fields: Fields, sent: Mapping[str, Any], *, is_open: bool = False) -> dict[str, Any]:
    """Check the declared fields and fill in defaults.

    Raises:
        ValueError: A field is missing or invalid, or unknown unless `is_open`.
    """
    if not is_open and (unknown := [name for name in sent if name not in fields]):
        known = ", ".join(fields) or "none"
        raise ValueError(f"there is no field {shown(unknown[0])} here; fields are: {known}")
    found = {name: field.check(name, sent.get(name, REQUIRED))
             for name, field in fields.items() if name in sent or field.default is REQUIRED}  # fmt: skip
    defaults = {name: field.default for name, field in fields.items() if field.default not in (REQUIRED, OPTIONAL)}
    return {**defaults, **found}


def refuse(name: str, wanted: str, got: Any) -> NoReturn:
    """Raise ValueError with field, wanted, got."""
    raise ValueError(f"{name} must be {wanted}, got {shown(got)}")


def shown(value: Any) -> str:
    """A value for a message: short, and never a path on someone's machine."""
    if value is REQUIRED:
        return "nothing"
    if isinstance(value, str):
        return shown_name(value)
    if isinstance(value, (list, dict)):
        return f"{'a list' if isinstance(value, list) else 'an object'} of {len(value)}"
    words = {None: "null", True: "true", False: "false"}
    return words[value] if value is None or isinstance(value, bool) else repr(value)[:_SHOWN]


def text(longest: int) -> Check:
    """A text of at most `longest` characters."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or len(value) > longest:
            refuse(name, f"a text of at most {longest} characters", value)
        if not is_unicode(value):
            refuse(name, "valid Unicode", value)
        return value

    return check


def line(longest: int, *, is_empty_ok: bool = False) -> Check:
    """A text on one line without surrounding spaces."""
    whole = text(longest)

    def check(name: str, value: Any) -> str:
        stripped = whole(name, value).strip()
        if len(stripped.splitlines()) > 1 or not (stripped or is_empty_ok):
            refuse(name, "a text on one line" + ", and not empty" * (not is_empty_ok), value)
        return stripped

    return check


def word(longest: int) -> Check:
    """A text that is not a path, such as a file ending."""
    inner = text(longest)

    def check(name: str, value: Any) -> str:
        if "/" in inner(name, value) or is_absolute(value):
            refuse(name, "a text without '/'", value)
        return value

    return check


def path(longest: int, *, takes_backslash: bool = False) -> Check:
    """A name below a folder, exactly as written there: names that a system would resolve differently are refused."""
    inner = text(longest)

    def check(name: str, value: Any) -> str:
        parts = inner(name, value).split("/")
        if is_absolute(value) or any(part in ("", ".", "..") for part in parts):
            refuse(name, "a name below its folder such as 'fox/1.png', without '..' or an empty part", value)
        if _CONTROL.search(value):
            refuse(name, "a name without control characters", value)
        if "\\" in value and not (takes_backslash and os.name == "posix"):
            refuse(name, "a name with '/' between folders", value)
        if any(len(part.encode()) > MAX_NAME_BYTES for part in parts):
            refuse(name, f"made of names of at most {MAX_NAME_BYTES} bytes", value)
        if os.name == "nt" and any(part != part.rstrip(" .") for part in parts):
            refuse(name, "made of names that do not end with a dot or space", value)
        if os.name == "nt" and _FORBIDDEN_ON_WINDOWS.search(value):  # such as a:b and a::$DATA, other names of a
            refuse(name, 'a name without < > : " | ? *', value)
        return value

    return check


def number(low: float, high: float) -> Check:
    """A number in low..high."""

    def check(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not low <= value <= high:
            refuse(name, f"a number from {low:g} to {high:g}", value)
        return float(value)

    return check


def whole(low: int, high: int) -> Check:
    """A whole number in low..high."""

    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            refuse(name, f"a whole number from {low} to {high}", value)
        return value

    return check


def digits(low: int, high: int) -> Check:
    """A whole number in low..high, written in a query."""

    def check(name: str, value: Any) -> int:
        is_number = isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= len(str(high))
        if not is_number or not low <= int(value) <= high:
            refuse(name, f"a whole number from {low} to {high}", value)
        return int(value)

    return check


def flag(name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        refuse(name, "true or false", value)
    return value


def one_of(*known: str) -> Check:
    """One of the given words."""

    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in known:
            refuse(name, f"one of {', '.join(known)}", value)
        return value

    return check


def or_empty(inner: Check) -> Check:
    """The same, or an empty text."""

    def check(name: str, value: Any) -> Any:
        return value if isinstance(value, str) and not value.strip() else inner(name, value)

    return check


def or_null(inner: Check) -> Check:
    """The same, or null."""

    def check(name: str, value: Any) -> Any:
        return None if value is None else inner(name, value)

    return check


def list_of(item: Check, low: int, high: int) -> Check:
    """A list of low..high items."""

    def check(name: str, value: Any) -> list[Any]:
        if not isinstance(value, list) or not low <= len(value) <= high:
            refuse(name, f"a list of {low if low == high else f'{low} to {high}'}", value)
        return [item(f"{name}[{place}]", entry) for place, entry in enumerate(value)]

    return check


def by_name(key: Check, item: Check, low: int, high: int) -> Check:
    """An object of low..high items whose names pass `key`."""

    def check(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict) or not low <= len(value) <= high:
            refuse(name, f"an object of {low} to {high} by name", value)
        return {key(f"a name in {name}", word): item(f"{name}[{shown(word)}]", entry) for word, entry in value.items()}

    return check


def record(fields: Fields) -> Check:
    """An object with these fields; others are ignored."""

    def check(name: str, value: Any) -> dict[str, Any]:
        if not isinstance(value, dict):
            refuse(name, f"an object with {', '.join(fields)}", value)
        named = {key: Field(_below(name, field.check), field.default) for key, field in fields.items()}
        return read_fields(named, value, is_open=True)

    return check


def _below(outer: str, inner: Check) -> Check:
    return lambda name, value: inner(f"{outer}.{name}", value)
