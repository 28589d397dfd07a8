"""Options of sd-scripts as they come from a text, each taken once, so that nothing is passed over unseen."""

import math
from collections.abc import Mapping
from typing import Any, cast

Value = object
OFF_TEXTS = ("", "none", "null")


class Options:
    """Named values of which each is read at most once; what nobody reads is left over."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        """Leaves out what is switched off: empty texts, None, False."""
        self._values = {name: value for name, value in values.items() if not _is_off(value)}

    def __contains__(self, name: str) -> bool:
        return name in self._values

    def text(self, name: str) -> str | None:
        """A text; of several values the first. None = not given."""
        value = self._values.pop(name, None)
        if isinstance(value, list):
            value = cast(list[Any], value)[0]
        return None if value is None else str(value).strip()

    def number(self, name: str) -> float | None:
        """A number; of several the first.

        Raises:
            ValueError: It is none.
        """
        text = self.text(name)
        return None if text is None else finite(name, text)

    def numbers(self, name: str) -> list[float]:
        """All numbers of an option that takes several; empty = not given.

        Raises:
            ValueError: One is none.
        """
        value = self._values.pop(name, None)
        several = cast(list[Any], value) if isinstance(value, list) else [] if value is None else [value]
        return [finite(name, str(one)) for one in several]

    def integer(self, name: str) -> int | None:
        """A whole number.

        Raises:
            ValueError: It is none.
        """
        number = self.number(name)
        if number is not None and number != int(number):
            raise ValueError(f"{name} must be a whole number, got {number}")
        return None if number is None else int(number)

    def flag(self, name: str) -> bool:
        """Whether it is switched on."""
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
        """What nobody has read."""
        return dict(self._values)


def finite(name: str, text: str) -> float:
    """The number a text is.

    Raises:
        ValueError: It is none, or beyond what numbers hold.
    """
    try:
        number = float(text)
    except ValueError:
        raise ValueError(f"{name} must be a number, got {text!r}") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} must be a number that can be counted with, got {text}")
    return number


def _written(value: Any) -> str:
    """A value of a table as it stands behind the `=` of a text."""
    return ",".join(map(str, cast(list[Any], value))) if isinstance(value, list) else str(value)


def _is_off(value: Value) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in OFF_TEXTS
    return value is None or value is False or value == []
