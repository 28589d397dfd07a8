"""A run's metrics as curves. The page asks often while a run trains, so no line is parsed twice."""

import logging
import math
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, cast

from ..files.json_files import read_json

MAX_POINTS = 1500
"""Points per curve; a chart has no more pixels."""
MAX_REMEMBERED = 8
"""Maximum number of runs whose metrics are kept in memory."""
TAIL_BYTES = 256
"""Length of the last bytes read that must be unchanged; otherwise the file was replaced."""
RATE_STEPS = 20
"""Steps over which the speed is averaged."""


@dataclass(kw_only=True)
class Curves:
    """Metrics of a run's steps in columns of equal length, and measurements made between steps."""

    step: list[int] = field(default_factory=list[int])
    loss: list[float | None] = field(default_factory=list[float | None])
    learning_rate: list[float | None] = field(default_factory=list[float | None])
    """Learning rate of the group with the largest one."""
    grad_norm: list[float | None] = field(default_factory=list[float | None])
    epoch: list[int] = field(default_factory=list[int])
    validation: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(step, loss) of the held-out images."""
    num_steps: int = 0
    """Number of steps before thinning."""
    rate: float | None = None
    """Steps per second, over the last steps."""


class CurveReader:
    """Reads the lines added to a `metrics.jsonl` since the last call; the whole file if it was cut or replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._reset()

    def _reset(self) -> None:
        self._offset = 0
        self._tail = b""
        self._file_id: tuple[int, int] | None = None
        self._curves = Curves()
        self._seconds: list[float] = []
        self._thinned: dict[int, Curves] = {}

    def read(self, max_points: int) -> Curves:
        """The current curves; callers must not change them."""
        with self._lock:
            try:
                with self._path.open("rb") as file:
                    self._read_on(file)
            except FileNotFoundError:
                self._reset()
            except OSError as error:  # in use elsewhere: the page asks again in a moment
                logging.info("LoRA Bakery: %s cannot be read now: %s", self._path, error.strerror or error)
            if max_points not in self._thinned:
                self._thinned[max_points] = _thinned(self._curves, max_points)
            return self._thinned[max_points]

    def _read_on(self, file: IO[bytes]) -> None:
        stat = os.fstat(file.fileno())
        file.seek(max(0, self._offset - len(self._tail)))
        is_same = self._file_id in (None, (stat.st_dev, stat.st_ino)) and stat.st_size >= self._offset
        if not is_same or file.read(len(self._tail)) != self._tail:
            self._reset()
            file.seek(0)
        self._file_id = (stat.st_dev, stat.st_ino)
        found = file.read()
        whole = found[: found.rfind(b"\n") + 1]  # a line still being written is read next time
        if not whole:
            return
        self._offset += len(whole)
        self._tail = (self._tail + whole)[-TAIL_BYTES:]
        self._thinned = {}
        for line in _lines(whole):
            self._add(line)
        self._curves.num_steps = len(self._curves.step)
        total = sum(self._seconds)
        self._curves.rate = len(self._seconds) / total if total > 0 else None

    def _add(self, line: dict[str, Any]) -> None:
        curves, step = self._curves, line["step"]
        if "validation_loss" in line:
            curves.validation.append((step, float(line["validation_loss"])))
        if "loss" in line:
            curves.step.append(step)
            curves.loss.append(finite(line["loss"]))
            curves.learning_rate.append(finite(max(line["learning_rates"].values(), default=0.0)))
            curves.grad_norm.append(finite(line["grad_norm"]))
            curves.epoch.append(line["epoch"])
            self._seconds = [*self._seconds[1 - RATE_STEPS :], line["seconds"]]


_readers: OrderedDict[Path, CurveReader] = OrderedDict()
_readers_lock = threading.Lock()


def read_curves(path: Path, max_points: int = MAX_POINTS) -> Curves:
    """The curves of a `metrics.jsonl`; with many steps, each point is the mean of neighboring ones."""
    with _readers_lock:
        reader = _readers.setdefault(path, CurveReader(path))
        _readers.move_to_end(path)
        while len(_readers) > MAX_REMEMBERED:
            _readers.popitem(last=False)
    return reader.read(max_points)


def _lines(text: bytes) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        try:
            found: Any = read_json(line.decode(errors="replace"))
        except ValueError:
            continue
        if isinstance(found, dict) and isinstance(cast(dict[str, Any], found).get("step"), int):
            yield cast(dict[str, Any], found)


def _thinned(curves: Curves, max_points: int) -> Curves:
    size = max(1, math.ceil(len(curves.step) / max_points))
    starts = range(0, curves.num_steps, size)
    ends = [min(start + size, curves.num_steps) for start in starts]
    return replace(
        curves,
        step=[curves.step[end - 1] for end in ends],
        epoch=[curves.epoch[end - 1] for end in ends],
        loss=_means(curves.loss, size),
        learning_rate=_means(curves.learning_rate, size),
        grad_norm=_means(curves.grad_norm, size),
        validation=list(curves.validation),
    )


def _means(values: list[float | None], size: int) -> list[float | None]:
    if size == 1:
        return list(values)
    return [_mean(values[start : start + size]) for start in range(0, len(values), size)]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def finite(value: float) -> float | None:
    """The number, or None if it is not finite, which JSON cannot hold."""
    return float(value) if math.isfinite(value) else None
