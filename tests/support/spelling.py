"""Which words of a text are not American English, or not English that people in the field use."""

import re
from functools import cache

_BRITISH = re.compile(
    r"(?<![a-z])(?:anew|whilst|amongst|learnt|spelt|towards|cosy|fulfil|skilful|instal|enrol)(?![a-z])"
    r"|(?:col|behavi|fav|neighb|hon|flav|arm|lab|hum|rum|harb|vap|endeav|rig)our(?!ing\b)"
    r"|grey|(?<![a-z])centre|artefact|catalogue|judgement|licence|defence|offence|mould|sceptic|manoeuvre|ageing|cheque"
    r"|(?:label|cancel|model|travel|signal|total|level|fuel|channel|tunnel|dial)l(?:ed|ing|er)(?![a-z])"
    r"|(?:analy|paraly|cataly)s(?:e|ed|ing)(?![a-z])|(?<![a-z])practis(?:e|ed|ing)(?![a-z])"
    r"|(?:recogn|normal|initial|organ|optim|quant|regular|general|visual|serial|real|minim|maxim|summar|synchron|util"
    r"|author|special|categor|emphas|custom|memor|token|random|standard|local|character|harmon|final|equal|central|penal"
    r"|stabil|parametr|parameter|capital|vector|material|apolog|critic|prior|priorit|optional|binar|discret|symbol)"
    r"is(?:e|ed|es|er|ers|ing|ation|ations)(?![a-z])",
    re.IGNORECASE,
)
_NAMES = (
    "unusual face, hair, colours or outfit", "wings, armour or a tail", "humanoid robot or fancy armour",
    "CancelledError",
)  # fmt: skip
"""What keeps its spelling: choices that saved workflows hold, and a name of Python's."""


def british(text: str) -> list[str]:
    """Return the words of a text that are spelled the British way or that this project does not use."""
    for name in _NAMES:
        text = text.replace(name, "")
    return [found for word in re.findall("[A-Za-z]+", text) for found in _british_in(word)]


@cache
def _british_in(word: str) -> tuple[str, ...]:
    return tuple(match.group() for match in _BRITISH.finditer(word))
