"""`run.json`: what a run is and how far its plan goes. Written whole, never in place."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files.atomic import write_text_atomic
from .identity import RunKey, Segment

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """Identity, plan and origin of one run."""

    base: str
    dataset: str
    segments: tuple[Segment, ...]
    parent: str | None = None
    """`<run id>@<step>` whose weights it began from."""
    description: dict[str, Any]
    """Settings in words, for people and for the LoRA's metadata; not part of the identity."""

    def is_of(self, key: RunKey) -> bool:
        """True if only the stages may differ."""
        return self.base == key.base and self.dataset == key.dataset


def save_record(path: Path, record: RunRecord) -> None:
    """Writes the record; the folder is made if missing."""
    text = json.dumps({"format": FORMAT, **asdict(record)}, indent=1, ensure_ascii=False)
    write_text_atomic(path, text)


def load_record(path: Path) -> RunRecord | None:
    """The record, or None where there is none that this version can read."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        if data.pop("format") != FORMAT:
            return None
        data["segments"] = tuple(Segment(**segment) for segment in data["segments"])
        return RunRecord(**data)
    except (OSError, ValueError, KeyError, TypeError):
        return None
