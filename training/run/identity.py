"""What a run is, and whether a wanted run continues one on disk.

A run is named by what influences its weights. Stages count in order; a stage's length counts only where its
schedule depends on it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any


def fingerprint(*things: Any) -> str:
    """Hex digest of settings dataclasses, strings, numbers and containers of them; equal content, equal digest."""
    return hashlib.blake2b(json.dumps(things, default=_plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {type(value).__name__: asdict(value)}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"cannot fingerprint a {type(value).__name__}")


@dataclass(frozen=True, slots=True)
class StageKey:
    """One stage as far as it decides weights."""

    key: str
    """Digest of optimizer, schedule, batch size and data of the stage; not of its length."""
    steps: int
    depends_on_length: bool
    """True where the schedule has an end, so that another length gives other weights from the start."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """What a wanted run is."""

    base: str
    """Digest of base model, network, objective, seed and start weights."""
    dataset: str
    stages: tuple[StageKey, ...]

    @property
    def run_id(self) -> str:
        return fingerprint(self.base, self.dataset, [[s.key, s.steps] for s in self.stages])[:12]


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps of one wanted stage that run under one schedule."""

    stage: int
    key: str
    steps: int


def continue_segments(recorded: Sequence[Segment], done: int, wanted: Sequence[StageKey]) -> list[Segment] | None:
    """The wanted plan laid over a recorded one of which `done` steps are trained; None if it is another run.

    What was trained is never changed: steps added to a stage whose schedule has an end become a segment of their own.
    """
    segments: list[Segment] = []
    queue = list(recorded)
    start = 0
    for index, stage in enumerate(wanted):
        remaining = stage.steps
        while remaining > 0:
            if not queue:
                segments.append(Segment(index, stage.key, remaining))
                break
            segment = queue.pop(0)
            if segment.key != stage.key:
                return None
            steps = _fitting_steps(segment.steps, remaining, done - start, not queue, stage.depends_on_length)
            if steps is None:
                return None
            segments.append(Segment(index, stage.key, steps))
            start += segment.steps
            remaining -= steps
    if queue and done > sum(segment.steps for segment in segments):
        return None
    return segments


def _fitting_steps(planned: int, remaining: int, done: int, is_last: bool, depends_on_length: bool) -> int | None:
    """Length the recorded segment takes in the wanted plan, or None if what is trained contradicts it."""
    if planned == remaining:
        return planned
    may_change = is_last and (done <= 0 or not depends_on_length)
    if planned < remaining:
        return remaining if may_change else planned
    return remaining if may_change and done <= remaining else None
