r"""Round brackets in captions: literal text, as taggers write them, or weights of ComfyUI's prompts.

Training uses captions as prompts: ComfyUI's text encoding reads `(tag:1.2)` as a weight and `\(` as a bracket. Captions
whose brackets are literal are escaped at the end. `\(` is a bracket in both cases.
"""

import re
from collections.abc import Iterable
from re import compile as regex

_BARE = regex(r"(?<!\\)[()]")
_WEIGHT = regex(r"(?<!\\)\([^()]*:\s*-?\d*\.?\d+\s*\)")


def has_brackets(text: str) -> bool:
    """Whether ComfyUI would read a bracket of the text as a weight."""
    return _BARE.search(text) is not None


def has_weights(text: str) -> bool:
    """Whether the text has an explicit weight, as in `(red eyes:1.2)`."""
    return _WEIGHT.search(text) is not None


def as_text(text: str) -> str:
    """The prompt that ComfyUI reads as this text, brackets included."""
    return _BARE.sub(r"\\\g<0>", text)


def unescaped(text: str) -> str:
    r"""The text with `\(` and `\)` as plain brackets, for display and comparison."""
    return re.sub(r"\\([()])", r"\1", text)


def describe_brackets(captions: Iterable[str], are_weights: bool) -> str:
    """How many captions contain brackets and how they are read, in one line; empty if none do."""
    found = [text for text in captions if has_brackets(text)]
    if not found:
        return ""
    example = next((text for text in found if has_weights(text)), found[0])
    line = f"round brackets in {len(found)} caption{'s' * (len(found) > 1)}, such as {_shortened(example)!r}: read as "
    if are_weights:
        return line + "weights (caption_weights of Captions is on)"
    line += "text, as they stand"
    written_out = sum(map(has_weights, found))
    if written_out:
        line += f"; {written_out} look like weights: switch caption_weights of Captions on if they are"
    return line


def _shortened(text: str, length: int = 60) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"
