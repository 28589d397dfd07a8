"""Tests that need the second device run in a pytest of their own: a process has one ComfyUI, for one kind of device.

Whoever collects them sees ordinary tests: the first of a folder that is due runs all of that folder that were selected,
in one process, and each reports as if it had run here.
"""

import faulthandler
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from ..paths import ROOT

IN_OTHER_PROCESS = "LORA_BAKERY_DEVICE_REPORTS"
"""Set in the process that runs them: where it writes its reports."""


class Reports:
    """Reports of the other process by test, made at the first question.

    Args:
        folder: the tests that run there lie below it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._found: dict[str, list[Any]] = {}
        self._tail: str | None = None

    def holds(self, item: pytest.Item) -> bool:
        """Whether a test is one of those."""
        return self.folder in item.path.parents

    def of(self, item: pytest.Item) -> list[Any]:
        """Reports of a test; a failure where the process ended without one."""
        if self._tail is None:
            self._tail = self._run(item, [other.nodeid for other in item.session.items if self.holds(other)])
        return self._found.get(item.nodeid) or [_lost(item, self._tail)]

    def _run(self, item: pytest.Item, tests: list[str]) -> str:
        """Run the tests, keep their reports, return the end of the output."""
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "reports.jsonl"
            path.touch()
            faulthandler.cancel_dump_traceback_later()  # a limit of one test; each has its own over there
            own = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST_XDIST")}
            done = subprocess.run(
                [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *_flags(item.config), *tests],
                cwd=ROOT, env={**own, IN_OTHER_PROCESS: str(path)}, capture_output=True, text=True, check=False,
            )  # fmt: skip
            lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
        for line in lines:
            report = item.config.hook.pytest_report_from_serializable(config=item.config, data=line)
            self._found.setdefault(report.nodeid, []).append(report)
        return (done.stdout + done.stderr)[-5000:]


def _flags(config: pytest.Config) -> list[str]:
    """Options of other conftests that decide whether a test runs."""
    return ["--full"] if config.getoption("--full", default=False) else []


def _lost(item: pytest.Item, tail: str) -> pytest.TestReport:
    return pytest.TestReport(
        nodeid=item.nodeid, location=item.location, keywords={}, outcome="failed", when="call",
        longrepr=f"the process on the second device ended without a word of this test:\n{tail}",
    )  # fmt: skip


def write_report(config: pytest.Config, report: pytest.TestReport) -> None:
    """For the process that asked."""
    data = config.hook.pytest_report_to_serializable(config=config, report=report)
    with Path(os.environ[IN_OTHER_PROCESS]).open("a", encoding="utf-8") as file:
        file.write(json.dumps(data) + "\n")
