"""Names and texts from outside, as messages show them."""

MAX_SHOWN = 60


def is_absolute(name: str) -> bool:
    """True for a path from a root, a home folder or a drive, on any system."""
    start = name.lstrip()
    return start.startswith(("/", "\\", "~")) or start[1:3] in (":/", ":\\")


def shown_name(name: str) -> str:
    """A name or text for a message: quoted and short, and never a path on someone's machine."""
    if is_absolute(name):
        return "an absolute path"
    return repr(name) if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]!r}... ({len(name)} characters)"


def is_unicode(text: str) -> bool:
    """False if it contains half of a surrogate pair, as JSON may: no file, name or model accepts it."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
