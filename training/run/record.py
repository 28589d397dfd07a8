"""`run.json`: what a run is and how far its plan goes. Written whole, never in place."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..files.atomic import write_text_atomic
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
    """`<run id>@<step>` whose weights it began from."""
    parent_fingerprint: str | None = None
    """Fingerprint of those weights."""
    rate_changes: RateChanges = ()
    """The learning rate changed by hand while it trained."""
    description: dict[str, Any]
    """Settings in words, for people and for the LoRA's metadata; not part of the identity."""

    def is_of(self, key: RunKey) -> bool:
        """True if only the stages may differ; a run's dataset that no stage trains tells nothing."""
        return self.base == key.base and (self.dataset == key.dataset or not (self.dataset and key.dataset))

    def fingerprint(self, step: int) -> str:
        """Digest of all that decided the weights after `step` steps: equal for equal weights, whatever is planned.

        Unlike the key that finds a run, it knows what was done to the run by hand until then.
        """
        trained: list[tuple[str, str, int]] = []
        start = 0
        for segment in self.segments:
            if start >= step:
                break
            # A schedule with an end gives other rates from its start where it is longer.
            steps = segment.steps if segment.depends_on_length else min(segment.steps, step - start)
            trained.append((segment.key, segment.dataset or self.dataset, steps))
            start += segment.steps
        made = [change for change in self.rate_changes if change[0] < step]
        return fingerprint(self.base, self.parent_fingerprint, trained, step, made)

    def has_other_data(self, key: RunKey) -> bool:
        """True for what differs in a dataset, whatever else differs in the stages."""
        return self.base == key.base and _datasets(self.dataset, self.segments) != _datasets(key.dataset, key.stages)


def _datasets(of_run: str, stages: Sequence[Segment]) -> set[str]:
    return {of_run, *(stage.dataset for stage in stages)} - {""}


def save_record(path: Path, record: RunRecord) -> None:
    """Writes the record; the folder is made if missing."""
    text = json.dumps({"format": FORMAT, **asdict(record)}, indent=1, ensure_ascii=False)
    write_text_atomic(path, text)


def load_record(path: Path) -> RunRecord | None:
    """The record, or None where there is none that this version can read.

    Raises:
        Unreadable: The file is there, but the system refuses to read it now.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError, UnicodeDecodeError):
        return None
    except OSError as error:
        raise Unreadable(path, error) from error
    try:
        data = json.loads(text)
        if data.pop("format") != FORMAT:
            return None
        data["rate_changes"] = read_changes(data.get("rate_changes", ()))
        data["segments"] = tuple(Segment(**segment) for segment in data["segments"])
        return RunRecord(**data)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
