"""`run.json`: a run's identity and plan. Always written as a whole."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files.atomic import write_text_atomic
from ..files.json_files import read_json
from ..loop.rate_changes import RateChanges, read_changes
from .folder import Unreadable
from .identity import RunKey, Segment, fingerprint

FORMAT = 1


@dataclass(frozen=True, kw_only=True, slots=True)
class RunRecord:
    """Identity, plan and origin of one run."""

    base: str
    dataset: str
    segments: tuple[Segment, ...]
    parent: str | None = None
    """`<run id>@<step>` that provided the start weights."""
    parent_fingerprint: str | None = None
    """Fingerprint of those weights."""
    rate_changes: RateChanges = ()
    """Changes of the learning rate by hand during training."""
    description: dict[str, Any]
    """Settings in words, for users and the LoRA's metadata; not part of the identity."""

    def is_of(self, key: RunKey) -> bool:
        """True if at most the stages differ; a run's dataset that no stage trains does not count."""
        return self.base == key.base and (self.dataset == key.dataset or not (self.dataset and key.dataset))

    def fingerprint(self, step: int) -> str:
        """Digest of everything that determined the weights after `step` steps, whatever is planned after them.

        Unlike the key that finds a run, it includes what was changed by hand up to that step.
        """
        trained: list[tuple[str, str, int]] = []
        start = 0
        for segment in self.segments:
            if start >= step:
                break
            # A longer schedule with an end has other learning rates from its start.
            steps = segment.steps if segment.depends_on_length else min(segment.steps, step - start)
            trained.append((segment.key, segment.dataset or self.dataset, steps))
            start += segment.steps
        made = [change for change in self.rate_changes if change[0] < step]
        return fingerprint(self.base, self.parent_fingerprint, trained, step, made)

    def has_other_data(self, key: RunKey) -> bool:
        """True if the dataset differs, whatever else differs in the stages."""
        return self.base == key.base and _datasets(self.dataset, self.segments) != _datasets(key.dataset, key.stages)


def _datasets(of_run: str, stages: Sequence[Segment]) -> set[str]:
    return {of_run, *(stage.dataset for stage in stages)} - {""}


def save_record(path: Path, record: RunRecord) -> None:
    """Write the record; creates the folder if needed."""
    text = json.dumps({"format": FORMAT, **asdict(record)}, indent=1, ensure_ascii=False)
    write_text_atomic(path, text)


def load_record(path: Path) -> RunRecord | None:
    """The record, or None if there is none that this version can read.

    Raises:
        Unreadable: The file exists but the system refuses to read it now.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise Unreadable(path, error) from error
    try:
        data = read_json(text)
        if data.pop("format") != FORMAT:
            return None
        data["rate_changes"] = read_changes(data.get("rate_changes", ()))
        data["segments"] = tuple(Segment(**segment) for segment in data["segments"])
        record = RunRecord(**data)
        return record if _is_sound(record) else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
        return None


def _is_sound(record: RunRecord) -> bool:
    """False where a hand has written what is no record of any version."""
    parts = record.segments
    texts = [record.base, record.dataset, *(text for part in parts for text in (part.key, part.dataset))]
    texts += [text for text in (record.parent, record.parent_fingerprint) if text is not None]
    numbers = [number for part in parts for number in (part.stage, part.steps)]
    flags = [part.depends_on_length for part in parts]
    wanted = [(str, texts), (int, numbers), (bool, flags), (dict, [record.description])]
    return all(type(value) is kind for kind, values in wanted for value in values) and min(numbers, default=0) >= 0
