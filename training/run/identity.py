"""What identifies a run, and whether a wanted run continues one on disk.

A run is identified by what influences its weights. Stages count in order; the length of a stage counts only if its
schedule depends on it.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from typing import Any, Literal, cast

OnMoreSteps = Literal["add", "stretch"]
"""Steps added to a finished stage whose schedule decays to an end.

add: they follow, under a schedule of their own. stretch: the longer stage is trained from its start.
"""


def fingerprint(*things: Any) -> str:
    """Hex digest of settings dataclasses, strings, numbers and containers of them; equal content, equal digest.

    Fields at their default are left out, so that a setting added later does not change the identity of runs on disk.
    """
    return hashlib.blake2b(json.dumps(things, default=_plain, sort_keys=True).encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        changed = {f.name: getattr(value, f.name) for f in fields(value) if getattr(value, f.name) != _default(f)}
        return {type(value).__name__: changed}
    if isinstance(value, set | frozenset):
        return sorted(cast("set[str]", value))
    raise TypeError(f"cannot fingerprint a {type(value).__name__}")


def _default(field: Field[Any]) -> Any:
    return field.default_factory() if field.default_factory is not MISSING else field.default


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps of one stage under one schedule; a wanted stage is a single segment."""

    stage: int
    """Index in the plan."""
    key: str
    """Digest of the stage's optimizer, schedule, batch size and data, without its length."""
    steps: int
    dataset: str = ""
    """Digest of the stage's own dataset, which is part of the key too; empty if it trains the run's."""
    depends_on_length: bool = True
    """True if another number of steps would give other weights from the first step on: the schedule has an end."""


@dataclass(frozen=True, slots=True)
class RunKey:
    """Identity of a wanted run."""

    base: str
    """Digest of base model, network, objective, seed and start weights."""
    dataset: str
    """Digest of the run's dataset; empty if no stage trains it."""
    stages: tuple[Segment, ...]

    @property
    def run_id(self) -> str:
        """Name of its folder."""
        return fingerprint(self.base, self.dataset, [[s.key, s.steps] for s in self.stages])[:12]


def continue_segments(
    recorded: Sequence[Segment], done: int, wanted: Sequence[Segment], on_more_steps: OnMoreSteps = "add"
) -> list[Segment] | None:
    """Match the wanted plan with a recorded one of which `done` steps are trained; None if it is another run.

    What was trained never changes: steps added to a stage whose schedule has an end become a segment of their own or,
    if the schedule is to be stretched, another run. Planned steps that were not trained are replaced freely.
    """
    segments: list[Segment] = []
    start = 0
    begun = _begun(recorded, done)
    for stage in wanted:
        remaining = stage.steps
        first: int | None = None
        while remaining > 0 and begun:
            segment = begun.pop(0)
            if first is not None and segment.stage != first:
                return None  # two stages: epochs and optimizer restarted where one stage would have continued
            first = segment.stage
            steps = _fitting_steps(segment, remaining, done - start, is_last=not begun, stage=stage)
            if steps is None or (on_more_steps == "stretch" and stage.depends_on_length and steps < stage.steps):
                return None
            segments.append(replace(stage, steps=steps))
            start += segment.steps
            remaining -= steps
        if remaining > 0:
            segments.append(replace(stage, steps=remaining))
    return None if begun else segments


def is_prefix(wanted: Sequence[Segment], recorded: Sequence[Segment]) -> bool:
    """True if a recorded plan passes through the weights of a shorter, wanted plan."""
    if len(wanted) > len(recorded):
        return False
    *full, last = zip(wanted, recorded, strict=False)
    is_last_kept = last[0].steps <= last[1].steps and not last[0].depends_on_length
    return (
        all(_is_same(one, other) and one.steps == other.steps for one, other in full)
        and _is_same(*last)
        and (last[0].steps == last[1].steps or is_last_kept)
    )


def _is_same(wanted: Segment, recorded: Segment) -> bool:
    return wanted.key == recorded.key and wanted.stage == recorded.stage


def _begun(recorded: Sequence[Segment], done: int) -> list[Segment]:
    starts = [sum(segment.steps for segment in recorded[:index]) for index in range(len(recorded))]
    return [segment for segment, start in zip(recorded, starts, strict=True) if start < done]


def _fitting_steps(segment: Segment, remaining: int, trained: int, is_last: bool, stage: Segment) -> int | None:
    """Length that a segment has in the wanted stage, or None if the steps trained so far contradict it."""
    if segment.key != stage.key:
        return None
    if is_last and not stage.depends_on_length:
        return remaining if trained <= remaining else None
    return segment.steps if segment.steps <= remaining else None
