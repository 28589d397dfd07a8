"""An edit that comes too late."""

from collections.abc import Sequence
from typing import Any


class Changed(ValueError):
    """An edit is based on what is not so any more; nothing was written."""

    def __init__(self, names: Sequence[str]) -> None:
        shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        super().__init__(f"changed meanwhile: {shown}; compare with what is there now, then save again")
        self.names = tuple(names)
        self.answer: dict[str, Any] = {}
        """What is there now, as plain data, for whom it was refused."""
