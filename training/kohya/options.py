"""Options of sd-scripts as they come from a text, each taken once, so that nothing is passed over unseen."""

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
        if text is None:
            return None
        try:
            return float(text)
        except ValueError:
            raise ValueError(f"{name} must be a number, got {text!r}") from None

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
        """`key=value` texts as a mapping.

        Raises:
            ValueError: One has no `=`.
        """
        value = self._values.pop(name, None)
        texts: list[Any] = value.split() if isinstance(value, str) else cast(list[Any], value or [])
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


def _is_off(value: Value) -> bool:
    if isinstance(value, str):
        return value.strip().lower() in OFF_TEXTS
    return value is None or value is False or value == []
