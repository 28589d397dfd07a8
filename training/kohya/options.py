"""Options of sd-scripts, each read once, so that none is skipped silently."""

import math
from collections.abc import Mapping
from typing import Any, cast

Value = object
OFF_TEXTS = ("", "none", "null")


class Options:
    """Named values that are read at most once; what is never read is left over."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        """Leaves out options that are switched off: empty texts, None, False."""
        given = {name: _without_nothing(value) for name, value in values.items()}
        self._values = {name: value for name, value in given.items() if not _is_off(value)}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """A text; the first of several values. None = not given."""
        value = self._values.pop(name, None)
        if isinstance(value, list):
            value = cast(list[Any], value)[0]
        return None if value is None else str(value).strip()

    def number(self, name: str) -> float | None:
        """A number; the first of several.

        Raises:
            ValueError: It is not a number.
        """
        text = self.text(name)
        return None if text is None else finite(name, text)

    def numbers(self, name: str) -> list[float]:
        """All numbers of an option with several values; empty = not given.

        Raises:
            ValueError: One is not a number.
        """
        value = self._values.pop(name, None)
        several = cast(list[Any], value) if isinstance(value, list) else [] if value is None else [value]
        return [finite(name, str(one)) for one in several]

    def integer(self, name: str) -> int | None:
        """A whole number.

        Raises:
            ValueError: It is not one.
        """
        number = self.number(name)
        if number is not None and number != int(number):
            raise ValueError(f"{name} must be a whole number, got {number}")
        return None if number is None else int(number)

    def flag(self, name: str) -> bool:
        """Whether the option is on."""
        text = self.text(name)
        return text is not None and text.lower() not in ("false", "0")

    def pairs(self, name: str) -> dict[str, Value]:
        """`key=value` texts as a mapping; a table is one already.

        Raises:
            ValueError: One has no `=`.
        """
        value = self._values.pop(name, None)
        if isinstance(value, Mapping):
            return {str(key): _written(content) for key, content in cast(Mapping[Any, Any], value).items()}
        if value is not None and not isinstance(value, str | list):
            raise ValueError(f"{name} must be key=value texts, got {value!r}")
        texts = value.split() if isinstance(value, str) else cast(list[Any], value or [])
        found: dict[str, Value] = {}
        for text in texts:
            key, equals, content = str(text).partition("=")
            if not equals:
                raise ValueError(f"{name} must be key=value texts, got {text!r}")
            found[key.strip()] = content.strip()
        return found

    def left_over(self) -> dict[str, Value]:
        """Options that were never read."""
        return dict(self._values)


def finite(name: str, text: str) -> float:
    """Parse a finite number.

    Raises:
        ValueError: It is not a number, or not finite.
    """
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a finite number, got {text}")
    return number


def _written(value: Any) -> str:
    """A value of a table as text after the `=`."""
    return ",".join(map(str, cast(list[Any], value))) if isinstance(value, list) else str(value)


def _without_nothing(value: Value) -> Value:
    """A list without JSON's null, which is no value."""
    return [one for one in cast(list[Any], value) if one is not None] if isinstance(value, list) else value


def _is_off(value: Value) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in OFF_TEXTS
    return value is None or value is False or value == []
