"""Workflows that 0.1.0 saved, what its page queued of them, and what its nodes asked for (`old_workflows.zip`).

Three days of it: `first` (the first examples), `released`, `last` (the day before 1.0.0). Written once by the code of
those days: the example workflows without notes and positions, their prompts, and the inputs in /object_info.
"""

import functools
import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

_ARCHIVE = Path(__file__).with_suffix(".zip")
DAYS = ("first", "released", "last")


class OldWorkflow(NamedTuple):
    """A workflow as it was saved, and the prompt that was queued of it then."""

    workflow: dict[str, Any]
    queued: dict[str, Any]


@functools.cache
def _read(name: str) -> dict[str, Any]:
    with zipfile.ZipFile(_ARCHIVE) as archive:
        return dict(json.loads(archive.read(name)))


def old_nodes(day: str) -> dict[str, Any]:
    """Node id -> `inputs` (name -> type, default, min, max, options) and `outputs` (types) of that day."""
    return _read(f"nodes-{day}.json")


def old_workflows() -> dict[str, OldWorkflow]:
    """Every workflow by `day/name`; one that did not change since the day before is there once."""
    return {
        f"{day}/{name}": OldWorkflow(**saved) for day in DAYS for name, saved in _read(f"workflows-{day}.json").items()
    }
