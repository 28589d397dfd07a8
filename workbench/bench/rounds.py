"""Contestants in separate processes take one step each in turn, so that other load affects all of them equally."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from ...tests.support.alias import ROOT
from .contest import Case

ALIAS = ROOT / "tests" / "support" / "alias.py"
TAIL = 2000
KEEP_FREED_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(1 << 33), "MALLOC_TRIM_THRESHOLD_": str(1 << 34)}
"""For glibc, which otherwise returns large tensors' memory to the system and requests it again.

Clearing pages then takes a fifth of a step, and steps of one contestant differ as much as contestants do.
"""
OTHERS_AT_ONCE = 3
"""Number of contestants beside the bound. Each takes one to five GB with SD1.5, plus the model once."""
OTHERS_AT_ONCE_OF_LARGE = 1
"""The same with batches, of which the host's trainer makes more samples, and with every layer: over 10 GB."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a table."""

    label: str
    contestant: str
    """See `worker.CONTESTANTS`."""
    case: Case


@dataclass
class Measurement:
    """Cost of one entry."""

    seconds: list[float] = field(default_factory=list)
    """Of each timed step."""
    cpu_seconds: list[float] = field(default_factory=list)
    """CPU time of all threads in the same steps, which other programs hardly affect."""
    bound_seconds: list[float] = field(default_factory=list)
    """The bound's steps in the same rounds, the divisor of the ratios."""
    bound_cpu_seconds: list[float] = field(default_factory=list)
    peak_bytes: int = 0
    """Peak memory besides the loaded model, from the trainer's start."""


class Worker:
    """A contestant's process, after one warm-up step in which memory is counted."""

    def __init__(self, entry: Entry, weights: Path) -> None:
        self.entry = entry
        self.peak_bytes = 0
        arguments = [entry.contestant, json.dumps(asdict(entry.case)), str(weights)]
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [sys.executable, str(ALIAS), "pack.workbench.bench.start", "worker", *arguments],
            cwd=ROOT, env={"OMP_WAIT_POLICY": "PASSIVE", **KEEP_FREED_MEMORY, **os.environ}, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors,
        )  # fmt: skip
        self._answer()

    def step(self) -> dict[str, float]:
        """Request a step and return the worker's answer."""
        assert self.process.stdin is not None
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return self._answer()

    def end(self) -> None:
        """End the process."""
        self.process.kill()
        self.process.communicate()
        self._errors.close()

    def _answer(self) -> dict[str, float]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise RuntimeError(f"{self.entry.label} ended early:\n{self._errors.read()[-TAIL:]}")
        answer: dict[str, float] = json.loads(line)
        self.peak_bytes = max(self.peak_bytes, int(answer.get("peak_bytes", 0)))
        return answer


def compare(entries: Sequence[Entry], weights: Path, num_rounds: int) -> dict[str, Measurement]:
    """Measure entries against the first one, the bound, a few at a time so that all fit into memory."""
    bound, others = entries[0], entries[1:]
    results: dict[str, Measurement] = {}
    is_large = bound.case.batch > 1 or bound.case.targets == "all" or bound.case.latent > 32
    at_once = OTHERS_AT_ONCE_OF_LARGE if is_large else OTHERS_AT_ONCE
    for start in range(0, len(others), at_once):
        group = _side_by_side([bound, *others[start : start + at_once]], weights, num_rounds)
        for label, result in group.items():
            result.bound_seconds, result.bound_cpu_seconds = group[bound.label].seconds, group[bound.label].cpu_seconds
            results.setdefault(label, result)
    return results


def _side_by_side(entries: Sequence[Entry], weights: Path, num_rounds: int) -> dict[str, Measurement]:
    """One step each in turn; every second round runs backwards, so that nobody always follows the same contestant."""
    results = {entry.label: Measurement() for entry in entries}
    workers: list[Worker] = []
    try:
        for entry in entries:
            workers.append(Worker(entry, weights))
            results[entry.label].peak_bytes = workers[-1].peak_bytes
        for number in range(num_rounds):
            for worker in workers if number % 2 == 0 else reversed(workers):
                answer, result = worker.step(), results[worker.entry.label]
                result.seconds.append(answer["seconds"])
                result.cpu_seconds.append(answer["cpu_seconds"])
    finally:
        for worker in workers:
            worker.end()
    return results
