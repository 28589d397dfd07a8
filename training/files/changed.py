"""The error for an edit that is based on an outdated version."""

from collections.abc import Sequence
from typing import Any


class Changed(ValueError):
    """The edit is based on an outdated version; nothing was written."""

    def __init__(self, names: Sequence[str]) -> None:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        super().__init__(f"changed meanwhile: {shown}; compare with what is there now, then save again")
        self.names = tuple(names)
        self.answer: dict[str, Any] = {}
        """The current state as plain data, for the client whose edit was refused."""
