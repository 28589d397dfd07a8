"""Reads and writes JSON of requests and answers in pieces; Python's own functions block every thread until done.

A body is limited while it is read, before anything is built from it: depth, lists and objects, length of a text.
"""

import json
from collections.abc import Iterator, Sequence
from re import compile as regex
from typing import Any

MAX_DEPTH = 6
"""Maximum nesting of lists and objects; no route needs more than three."""
MAX_CONTAINERS = 20_000
"""Maximum number of lists and objects; 10,000 votes are as many lists."""
MAX_VALUES = 500_000
MAX_TEXT = 150_000
"""Maximum characters of one text as written; a fully escaped caption of 20,000 takes 120,000."""
PIECE = 256

_SPACE = regex(r"[ \t\n\r]{0,10000}")
_TEXT = regex(r'"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*"')
_NUMBER = regex(r"-?(?:0|[1-9][0-9]{0,99})(\.[0-9]{1,99})?([eE][-+]?[0-9]{1,9})?")
_WORDS = {"true": True, "false": False, "null": None}


def parse_json(raw: bytes | bytearray) -> Any:
    """Parse JSON without blocking other threads.

    Raises:
        ValueError: It is not JSON in UTF-8, names a field twice, or exceeds the limits above.
    """
    try:
        text = raw.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"the body must be JSON in UTF-8, byte {error.start} is not") from None
    reader = _Reader(text)
    value = reader.value(0)
    reader.skip_space()
    if reader.place != len(text):
        raise reader.wrong("the end")
    return value


class _Reader:
    """A position in the text being read."""

    def __init__(self, text: str) -> None:
        self.text, self.place = text, 0
        self._num_containers = self._num_values = 0

    def wrong(self, wanted: str) -> ValueError:
        return ValueError(f"the body must be JSON: {wanted} is missing at character {self.place}")

    def skip_space(self) -> None:
        while found := _SPACE.match(self.text, self.place):
            self.place = found.end()
            if not found.group():
                return

    def _takes(self, mark: str) -> bool:
        self.skip_space()
        is_there = self.text.startswith(mark, self.place)
        self.place += len(mark) * is_there
        return is_there

    def value(self, depth: int) -> Any:
        """The value that starts here, inside `depth` lists and objects."""
        self._num_values += 1
        if self._num_values > MAX_VALUES:
            raise ValueError(f"the body must hold at most {MAX_VALUES} values")
        self.skip_space()
        first = self.text[self.place : self.place + 1]
        if first == '"':
            return self._text()
        if first in ("[", "{"):
            return self._container(first, depth + 1)
        return self._word_or_number()

    def _container(self, first: str, depth: int) -> Any:
        self._num_containers += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"the body must be at most {MAX_DEPTH} lists and objects deep")
        if self._num_containers > MAX_CONTAINERS:
            raise ValueError(f"the body must hold at most {MAX_CONTAINERS} lists and objects")
        self.place += 1
        return self._list(depth) if first == "[" else self._object(depth)

    def _list(self, depth: int) -> list[Any]:
        found = list[Any]()
        if self._takes("]"):
            return found
        while True:
            found.append(self.value(depth))
            if self._takes("]"):
                return found
            if not self._takes(","):
                raise self.wrong("',' or ']'")

    def _object(self, depth: int) -> dict[str, Any]:
        found = dict[str, Any]()
        if self._takes("}"):
            return found
        while True:
            self.skip_space()
            name = self._text()
            if name in found:
                raise ValueError(f"the body must name each field once, {name[:40]!r} is there twice")
            if not self._takes(":"):
                raise self.wrong("':'")
            found[name] = self.value(depth)
            if self._takes("}"):
                return found
            if not self._takes(","):
                raise self.wrong("',' or '}'")

    def _text(self) -> str:
        found = _TEXT.match(self.text, self.place, self.place + MAX_TEXT)
        if found is None:
            if self.text.startswith('"', self.place) and len(self.text) > self.place + MAX_TEXT:
                raise ValueError(f"a text of the body must end within {MAX_TEXT} characters")
            raise self.wrong("a text")
        start, self.place = self.place + 1, found.end()
        if "\\" not in found.group():
            return self.text[start : self.place - 1]
        try:
            return json.loads(found.group())
        except ValueError:
            raise self.wrong("a text without false escapes") from None

    def _word_or_number(self) -> Any:
        for word, value in _WORDS.items():
            if self.text.startswith(word, self.place):
                self.place += len(word)
                return value
        found = _NUMBER.match(self.text, self.place)
        if found is None:
            raise self.wrong("a value")
        self.place = found.end()
        return float(found.group()) if any(found.groups()) else int(found.group())


def json_bytes(value: Any) -> bytes:
    """JSON of plain data without NaN, written without blocking other threads."""
    return "".join(_pieces(value, levels=3)).encode()


def _pieces(value: Any, levels: int) -> Iterator[str]:
    if levels and isinstance(value, dict):
        yield "{"
        for place, (name, item) in enumerate(value.items()):
            yield f"{', ' * bool(place)}{json.dumps(str(name))}: "
            yield from _pieces(item, levels - 1)
        yield "}"
    elif isinstance(value, (list, tuple)) and len(value) > PIECE:
        yield "["
        for start in range(0, len(value), PIECE):
            part: Sequence[Any] = value[start : start + PIECE]
            yield ", " * bool(start) + json.dumps(part, allow_nan=False)[1:-1]
        yield "]"
    else:
        yield json.dumps(value, allow_nan=False)
