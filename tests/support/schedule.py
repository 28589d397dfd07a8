"""Deals test files to the processes of pytest-xdist: the longest first, a host only where it saves time.

A file stays whole, so its fixtures are made once, and so does a folder whose tests share a process of their own. What a
file needs (a server, Chromium, ComfyUI in the process) takes up to half a minute to start, so a process goes on with
files that need what it has started already.
"""

import json
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from xdist.scheduler import LoadScopeScheduling

from .paths import ROOT

SECONDS = ROOT / "tests" / "seconds.json"
"""Measured by `python dev.py test --write-seconds`; a file that is missing there is guessed by its number of tests."""
WHOLE_FOLDERS = ("tests/host/device",)
SECONDS_A_TEST = {"browser": 4.0, "server": 4.0, "comfy": 0.5, "": 0.05}
Needs = frozenset[str]


@dataclass(frozen=True)
class TestFile:
    """A file of tests, or a folder of them that stays whole: what it needs, and about how long it takes alone."""

    __test__ = False

    name: str
    needs: Needs
    seconds: float


def needs_of(source: str) -> Needs:
    """Return what the marks in a test file's text ask for: `comfy`, `server`, `browser`."""
    needs = {name for name in ("comfy", "server", "browser") if re.search(rf"\bmark\.{name}\b", source)}
    return frozenset(needs | ({"server"} if "browser" in needs else set()))


def describe(name: str, num_tests: int, known: Mapping[str, float]) -> TestFile:
    """Read what a file needs and estimate its seconds."""
    path = ROOT / name
    needs = needs_of("".join(file.read_text(encoding="utf-8") for file in [*path.glob("test_*.py")] or [path]))
    slowest = next((level for level in SECONDS_A_TEST if level in needs), "")
    seconds = sum(known[file] for file in known if file == name or file.startswith(f"{name}/"))
    return TestFile(name, needs, seconds or num_tests * SECONDS_A_TEST[slowest])


def known_seconds() -> dict[str, float]:
    """Return the measured seconds by file."""
    return dict(json.loads(SECONDS.read_text(encoding="utf-8"))) if SECONDS.is_file() else {}


def choose(waiting: Collection[TestFile], mine: Needs, others: Iterable[Needs]) -> TestFile:
    """Return the file a process takes next.

    Args:
        waiting: files nobody has taken, at least one.
        mine: what this process has started.
        others: what each other process has started.
    """
    started = frozenset().union(mine, *others)
    work: dict[Needs, float] = {}
    for file in waiting:
        work[file.needs] = work.get(file.needs, 0.0) + file.seconds

    def rank(file: TestFile) -> tuple[int, float, float]:
        if file.needs and file.needs <= mine:
            return 0, 0.0, -file.seconds
        if not file.needs <= started:
            return 1, -work[file.needs], -file.seconds
        return (2 if not file.needs else 3), -work[file.needs], -file.seconds

    return min(waiting, key=rank)


class ByHost(LoadScopeScheduling):
    """xdist's scheduling by file, in the order that `choose` gives."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.known = known_seconds()
        self.started: dict[Any, Needs] = {}

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.split("::", 1)[0]
        return next((folder for folder in WHOLE_FOLDERS if file.startswith(f"{folder}/")), file)

    def _assign_work_unit(self, node: Any) -> None:
        waiting = [describe(name, len(tests), self.known) for name, tests in self.workqueue.items()]
        mine = self.started.get(node, frozenset())
        file = choose(waiting, mine, [needs for other, needs in self.started.items() if other is not node])
        self.started[node] = mine | file.needs
        self.workqueue.move_to_end(file.name, last=False)
        super()._assign_work_unit(node)


class Stopwatch:
    """A pytest plugin that adds up the seconds of each file's tests, their fixtures included, and writes them down."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Count a phase of a test."""
        name = report.nodeid.split("::", 1)[0]
        self.seconds[name] = self.seconds.get(name, 0.0) + report.duration

    def pytest_sessionfinish(self) -> None:
        """Write the files that take a second or more."""
        kept = {name: round(seconds) for name, seconds in sorted(self.seconds.items()) if seconds >= 1}
        SECONDS.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
