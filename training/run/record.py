"""`run.json`: what a run is and how far its plan goes. Written whole, never in place."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files.atomic import write_text_atomic
from .identity import RunKey, Segment, StageKey

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
        """True if only the stages may differ; a run's dataset that no stage trains tells nothing."""
        return self.base == key.base and (self.dataset == key.dataset or not (self.dataset and key.dataset))

    def has_other_data(self, key: RunKey) -> bool:
        """True for what differs in a dataset, whatever else differs in the stages."""
        return self.base == key.base and _datasets(self.dataset, self.segments) != _datasets(key.dataset, key.stages)


def _datasets(of_run: str, stages: Sequence[Segment] | Sequence[StageKey]) -> set[str]:
    return {of_run, *(stage.dataset for stage in stages)} - {""}


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
