"""Optimizer arguments as text: `betas=0.9,0.999 eps=1e-8`. Values are Python literals and are never executed."""

from ast import literal_eval as read_literal
from collections.abc import Collection, Mapping
from re import compile as regex

Value = object
_BETWEEN_PAIRS = regex(r"[\s;]+(?=[A-Za-z_]\w*\s*=)")


def parse_arguments(text: str) -> dict[str, Value]:
    """Names and values of `name=value` pairs separated by spaces, semicolons or new lines.

    Raises:
        ValueError: For text that is not such a pair, a value that is no literal, or a name given twice.
    """
    arguments: dict[str, Value] = {}
    for pair in filter(None, _BETWEEN_PAIRS.split(text.strip())):
        name, equals, literal = pair.strip().rstrip(";,").partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise ValueError(f"arguments must be name=value pairs such as betas=0.9,0.999, got {pair!r}")
        if name in arguments:
            raise ValueError(f"arguments must name each argument once, got {name} twice")
        arguments[name] = _literal(name, literal.strip())
    return arguments


def check_arguments(arguments: Mapping[str, Value], accepted: Collection[str], optimizer: str) -> None:
    """Refuses arguments the optimizer does not take.

    Raises:
        ValueError: Naming the unknown ones and everything that is accepted.
    """
    unknown = sorted(set(arguments) - set(accepted))
    if unknown:
        raise ValueError(
            f"arguments: {optimizer} does not take {', '.join(unknown)}; it takes {', '.join(sorted(accepted))}"
        )


def _literal(name: str, literal: str) -> Value:
    try:
        return read_literal(literal)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(
            f"arguments: {name} must be a Python literal (a number, True, None, 'text', 0.9,0.999), got {literal!r}"
        ) from None
